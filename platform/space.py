"""Ranges that a study may put where an arm's value would stand, and what Optuna makes of them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from platform.methods.method import Integer


class Range(ABC):
    """The values that a search may give to one field."""

    takes: tuple[type, ...]
    """Types of the fields that this range fits."""

    @abstractmethod
    def ends(self) -> tuple[Any, ...]:
        """The values that a field's rule must admit for the rule to admit the whole range."""

    @abstractmethod
    def distribution(self) -> BaseDistribution:
        """The range in Optuna's terms."""


@dataclass(frozen=True)
class Uniform(Range):
    """Real numbers from `low` to `high`, all equally likely."""

    low: float
    high: float
    takes = (float,)

    def __post_init__(self) -> None:
        _check_order(self, self.low, self.high)

    def ends(self) -> tuple[float, ...]:
        return self.low, self.high

    def distribution(self) -> FloatDistribution:
        return FloatDistribution(self.low, self.high)


@dataclass(frozen=True)
class LogUniform(Range):
    """Real numbers from `low`, above 0, to `high`, their logarithms equally likely."""

    low: float
    high: float
    takes = (float,)

    def __post_init__(self) -> None:
        _check_order(self, self.low, self.high)
        if self.low <= 0:
            raise ValueError(f"{self} must begin above 0, where the logarithm does; use Uniform to include 0")

    def ends(self) -> tuple[float, ...]:
        return self.low, self.high

    def distribution(self) -> FloatDistribution:
        return FloatDistribution(self.low, self.high, log=True)


@dataclass(frozen=True)
class Integers(Range):
    """Whole numbers from `low` to `high`, both included; with `log`, their logarithms equally likely."""

    low: int
    high: int
    log: bool = False
    takes = (int,)

    def __post_init__(self) -> None:
        _check_order(self, self.low, self.high)
        if not all(isinstance(end, int) for end in self.ends()):
            raise ValueError(f"{self} must have whole ends; use Uniform or LogUniform for real numbers")
        if self.log and self.low < 1:
            raise ValueError(f"{self} must begin at 1 or above, where the logarithm does")

    def ends(self) -> tuple[int, ...]:
        return self.low, self.high

    def distribution(self) -> IntDistribution:
        return IntDistribution(self.low, self.high, log=self.log)


@dataclass(frozen=True, init=False)
class OneOf(Range):
    """One of the listed values."""

    values: tuple[Any, ...]
    takes = (float, int, bool, str)

    def __init__(self, *values: Any) -> None:
        object.__setattr__(self, "values", values)
        if len(values) < 2:
            raise ValueError(f"{self} must list at least two values, got {len(values)}; write a fixed value without OneOf")
        if len(set(values)) < len(values):
            raise ValueError(f"{self} lists a value twice; list each once")

    def __repr__(self) -> str:
        return f"OneOf({', '.join(map(repr, self.values))})"

    def ends(self) -> tuple[Any, ...]:
        return self.values

    def distribution(self) -> CategoricalDistribution:
        return CategoricalDistribution(self.values)


@dataclass(frozen=True)
class Dimension:
    """One searched field, as Optuna sees it: a field that acts through an integer is searched over that integer."""

    range: Range
    integer: Integer | None

    def distribution(self) -> BaseDistribution:
        """The range, over integers where the field acts through one; a logarithmic one begins at 1, so 1 is added."""
        if self.integer is None:
            return self.range.distribution()
        if isinstance(self.range, OneOf):
            return CategoricalDistribution(sorted({self.integer.of(value) for value in self.range.values}))
        low, high = (self.integer.of(end) + self._shift for end in self.range.ends())
        return IntDistribution(low, high, log=isinstance(self.range, LogUniform))

    def value(self, proposed: Any) -> Any:
        """The field's value for what Optuna proposed."""
        return proposed if self.integer is None else self.integer.value(proposed - self._shift)

    def proposal(self, value: Any) -> Any:
        """What Optuna would have proposed for a field's value: the inverse of `value`."""
        return value if self.integer is None else self.integer.of(value) + self._shift

    def __len__(self) -> int:
        """How many different values there are; 0 for a continuum."""
        distribution = self.distribution()
        if isinstance(distribution, CategoricalDistribution):
            return len(distribution.choices)
        if isinstance(distribution, IntDistribution):
            return distribution.high - distribution.low + 1
        return 0

    def values(self) -> list[Any]:
        """All proposals of a finite dimension."""
        distribution = self.distribution()
        if isinstance(distribution, CategoricalDistribution):
            return list(distribution.choices)
        assert isinstance(distribution, IntDistribution)
        return list(range(distribution.low, distribution.high + 1))

    @property
    def _shift(self) -> int:
        return int(isinstance(self.range, LogUniform))


def _check_order(range_: Range, low: float, high: float) -> None:
    if not low < high:
        raise ValueError(f"{range_} is empty: its low end must lie below its high end; write a fixed value without a range")
