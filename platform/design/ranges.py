"""Ranges that a study may put where an arm's value would stand, and checks of the numbers that take none."""

import ast
import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform.records.plain import plain, recorded

if TYPE_CHECKING:
    from platform.methods.method import Integer


class Range(ABC):
    """The values that a search may give to one field."""

    takes: tuple[type, ...]
    """Types of the fields that this range fits."""

    def fits(self, kind: type) -> bool:
        """Whether the range gives values of this type, which is a field's."""
        # Python takes a truth value for a whole number.
        return any(kind is taken or (taken is not int and issubclass(kind, taken)) for taken in self.takes)

    @abstractmethod
    def ends(self) -> tuple[Any, ...]:
        """The values that a field's rule must admit for the rule to admit the whole range."""


@dataclass(frozen=True)
class Uniform(Range):
    """Real numbers from `low` to `high`, all equally likely."""

    low: float
    high: float
    takes = (float,)

    def __post_init__(self) -> None:
        _take_ends(self)

    def __repr__(self) -> str:
        return f"Uniform({self.low}, {self.high})"

    def ends(self) -> tuple[float, ...]:
        return self.low, self.high


@dataclass(frozen=True)
class LogUniform(Range):
    """Real numbers from `low`, above 0, to `high`, their logarithms equally likely."""

    low: float
    high: float
    takes = (float,)

    def __post_init__(self) -> None:
        _take_ends(self)
        if self.low <= 0:
            raise ValueError(f"{self} must begin above 0, where the logarithm does; use Uniform to include 0")

    def __repr__(self) -> str:
        return f"LogUniform({self.low}, {self.high})"

    def ends(self) -> tuple[float, ...]:
        return self.low, self.high


@dataclass(frozen=True)
class Integers(Range):
    """Whole numbers from `low` to `high`, both included; with `log`, their logarithms equally likely."""

    low: int
    high: int
    log: bool = False
    takes = (int,)

    def __post_init__(self) -> None:
        _take_ends(self)
        if not all(isinstance(end, int) for end in self.ends()):
            raise ValueError(f"{self} must have whole ends; use Uniform or LogUniform for real numbers")
        if self.log and self.low < 1:
            raise ValueError(f"{self} must begin at 1 or above, where the logarithm does; leave log out to include 0")

    def __repr__(self) -> str:
        return f"Integers({self.low}, {self.high}{', log=True' * self.log})"

    def ends(self) -> tuple[int, ...]:
        return self.low, self.high


@dataclass(frozen=True, init=False)
class OneOf(Range):
    """One of the listed values."""

    values: tuple[Any, ...]
    takes = (float, int, bool, str)

    def __init__(self, *values: Any) -> None:
        values = tuple(map(plain, values))
        object.__setattr__(self, "values", values)
        if len(values) < 2:
            raise ValueError(
                f"{self} must list at least two values, got {len(values)}; write a fixed value without OneOf"
            )
        if not all(isinstance(value, self.takes) or self.fits(type(value)) for value in values):
            raise ValueError(
                f"{self} must list numbers, truth values, texts or networks; give anything else an arm of its own"
            )
        if len(set(values)) < len(values):
            raise ValueError(f"{self} lists a value twice; list each once")

    def fits(self, kind: type) -> bool:
        return super().fits(kind) or dataclasses.is_dataclass(kind)

    def __repr__(self) -> str:
        return f"OneOf({', '.join(map(repr, self.values))})"

    def ends(self) -> tuple[Any, ...]:
        return self.values


def range_of(text: str) -> Range | None:
    """The range that a record says, `LogUniform(0.001, 0.1)`; None where it says none.

    A listed network stays the call that describes it, as records have it.
    """
    kinds: dict[str, type[Range]] = {kind.__name__: kind for kind in (Uniform, LogUniform, Integers, OneOf)}
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call):
            return None
        options = {str(option.arg): ast.literal_eval(option.value) for option in call.keywords}
        return kinds[ast.unparse(call.func)](*(_said(text, value) for value in call.args), **options)
    except (KeyError, MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
        return None


def _said(text: str, value: ast.expr) -> Any:
    """A value of a range's text, or its own text where that calls for something."""
    return ast.get_source_segment(text, value) if isinstance(value, ast.Call) else ast.literal_eval(value)


@dataclass(frozen=True)
class Dimension:
    """One searched field, as the search sees it: one that acts through an integer is searched over that integer.

    A logarithmic range begins at 1, where the logarithm does, so 1 is added to its integers.
    """

    range: Range
    integer: "Integer | None"

    def value(self, proposed: Any) -> Any:
        """The field's value for what the search proposed, within the range: `proposal(value(proposed)) == proposed`."""
        if isinstance(self.range, OneOf):
            return next((value for value in self.range.values if self.proposal(value) == proposed), proposed)
        if self.integer is None:
            return proposed
        low, high = self.range.ends()
        return min(max(self.integer.value(proposed - self._shift), low), high)

    def proposal(self, value: Any) -> Any:
        """What the search would have proposed for a field's value, or for what records have of it."""
        return recorded(value) if self.integer is None else self.integer.of(value) + self._shift

    def meant(self, value: Any) -> Any:
        """A field's value, for what records have of it."""
        described = self.integer is None and isinstance(self.range, OneOf)
        return self.value(recorded(value)) if described else value

    def proposals(self) -> Sequence[Any] | None:
        """All values that the search may propose, in order; None for a continuum."""
        if isinstance(self.range, OneOf):
            whole = tuple(map(recorded, self.range.values))
            return whole if self.integer is None else sorted({*map(self.integer.of, self.range.values)})
        if self.integer is None and not isinstance(self.range, Integers):
            return None
        low, high = (self.proposal(end) for end in self.range.ends())
        return range(low, high + 1)

    def holds(self, value: Any) -> bool:
        """Whether the search may propose a field's value, or another one that acts through the same integer."""
        proposals = self.proposals()
        if proposals is not None:
            return self.proposal(value) in proposals
        low, high = self.range.ends()
        return bool(low <= value <= high)

    @property
    def _shift(self) -> int:
        return int(isinstance(self.range, LogUniform))


def _take_ends(range_: Uniform | LogUniform | Integers) -> None:
    """Take the ends of a range as Python's own numbers. Raises ValueError for those between which nothing lies."""
    for name in ("low", "high"):
        end = plain(getattr(range_, name))
        object.__setattr__(range_, name, end)
        if isinstance(end, bool) or not isinstance(end, int | float) or not math.isfinite(end):
            remedy = "write it without quotes" if isinstance(end, str) else "write the values that may be tried"
            raise ValueError(f"{range_} must have finite numbers as ends, got {end!r}; {remedy}")
    low, high = range_.ends()
    if not low < high:
        remedy = "write a fixed value without a range" if low == high else "swap its ends"
        raise ValueError(f"{range_} is empty: its low end must lie below its high end; {remedy}")


def check_whole(owner: Any, name: str, *, least: int) -> None:
    """Raise ValueError unless a field is a whole number of at least `least`; another library's becomes Python's own."""
    value = _taken(owner, name)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise _refused(owner, name, f"a whole number of at least {least}", value)


def check_number(owner: Any, name: str, rule: str, admits: Callable[[float], bool]) -> None:
    """Raise ValueError unless a field is a finite number that the rule, said in words, admits; as `check_whole`."""
    value = _taken(owner, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not admits(value):
        raise _refused(owner, name, rule, value)


def _taken(owner: Any, name: str) -> Any:
    value = plain(getattr(owner, name))
    object.__setattr__(owner, name, value)
    return value


def _refused(owner: Any, name: str, rule: str, value: Any) -> ValueError:
    remedy = "; only the fields of an Arm take ranges" if isinstance(value, Range) else ""
    return ValueError(f"{type(owner).__name__}.{name} must be {rule}, got {value!r}{remedy}")
