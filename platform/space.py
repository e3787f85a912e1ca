"""Ranges that a study may put where an arm's value would stand, and what Optuna makes of them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
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
        _check_ends(self, self.low, self.high)

    def __repr__(self) -> str:
        return f"Uniform({self.low}, {self.high})"

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
        _check_ends(self, self.low, self.high)
        if self.low <= 0:
            raise ValueError(f"{self} must begin above 0, where the logarithm does; use Uniform to include 0")

    def __repr__(self) -> str:
        return f"LogUniform({self.low}, {self.high})"

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
        _check_ends(self, self.low, self.high)
        if not all(isinstance(end, int) for end in self.ends()):
            raise ValueError(f"{self} must have whole ends; use Uniform or LogUniform for real numbers")
        if self.log and self.low < 1:
            raise ValueError(f"{self} must begin at 1 or above, where the logarithm does; leave log out to include 0")

    def __repr__(self) -> str:
        return f"Integers({self.low}, {self.high}{', log=True' * self.log})"

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
            raise ValueError(
                f"{self} must list at least two values, got {len(values)}; write a fixed value without OneOf"
            )
        if not all(isinstance(value, self.takes) for value in values):
            raise ValueError(f"{self} must list numbers, truth values or texts; give anything else an arm of its own")
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
        low, high = (self.proposal(end) for end in self.range.ends())
        return IntDistribution(low, high, log=isinstance(self.range, LogUniform))

    def value(self, proposed: Any) -> Any:
        """The field's value for what Optuna proposed, within the range: `proposal(value(proposed)) == proposed`."""
        if self.integer is None:
            return proposed
        if isinstance(self.range, OneOf):
            return next(value for value in self.range.values if self.proposal(value) == proposed)
        low, high = self.range.ends()
        return min(max(self.integer.value(proposed - self._shift), low), high)

    def proposal(self, value: Any) -> Any:
        """What Optuna would have proposed for a field's value."""
        return value if self.integer is None else self.integer.of(value) + self._shift

    def proposals(self) -> Sequence[Any] | None:
        """All that Optuna may propose; None for a continuum."""
        match self.distribution():
            case CategoricalDistribution(choices=choices):
                return choices
            case IntDistribution(low=low, high=high):
                return range(low, high + 1)
        return None

    def holds(self, value: Any) -> bool:
        """Whether Optuna may propose a field's value, or another one that acts through the same integer."""
        proposals = self.proposals()
        if proposals is not None:
            return self.proposal(value) in proposals
        low, high = self.range.ends()
        return bool(low <= value <= high)

    @property
    def _shift(self) -> int:
        return int(isinstance(self.range, LogUniform))


def _check_ends(range_: Range, low: Any, high: Any) -> None:
    for end in (low, high):
        if isinstance(end, bool) or not isinstance(end, int | float) or not math.isfinite(end):
            raise ValueError(
                f"{range_} must have finite numbers as ends, got {end!r}; write the values that may be tried"
            )
    if not low < high:
        raise ValueError(
            f"{range_} is empty: its low end must lie below its high end; write a fixed value without a range"
        )
