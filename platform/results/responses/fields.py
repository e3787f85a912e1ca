"""The searched fields of a study's rows: what their trials scored, the response to them, and their importance."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from platform.design.ranges import Dimension, Integers, LogUniform, OneOf, Range
from platform.records.record import ArmHeader, StudyHeader
from platform.records.trial import Trial
from platform.results.responses.kriging import Response, response
from platform.results.runs import ArmRuns, Run
from platform.search.importance.ped_anova import Importance, importance
from platform.search.proposals import Tried, point
from platform.search.space import recorded_dimensions

LEAST_TRIALS = 8
"""Complete trials below which a band holds a narrow peak too seldom: `python -m benchmarks.responses`."""
PLACES = 65
"""At which a response is known along a range."""


class Mark(NamedTuple):
    """What a search trial scored."""

    value: Any
    """Of the field, as records have it."""
    score: float
    """The row's selector where the trial ended."""


@dataclass(frozen=True)
class SearchedField:
    """What the search trials of a row say of one field."""

    arm: str
    supervised: bool
    selector: str
    field: str
    range: Range
    complete: tuple[Mark, ...]
    """Of the trials that came to their last step."""
    stopped: tuple[Mark, ...]
    """Of those that the search ended early, at their last evaluation: of no fit, since it is of fewer steps."""
    default: Any
    """The published default, where it was tried; else None."""
    chosen: Any
    """None while the search has not chosen."""
    at: tuple[Any, ...]
    """The values at which the response is known."""
    response: Response | None
    """None where too few trials are complete; so is the importance, and in rows that search one field."""
    importance: Importance | None
    alone: bool
    """Whether the row searches no other field."""


def searched_fields(header: StudyHeader, runs: Mapping[str, ArmRuns]) -> tuple[SearchedField, ...]:
    """The searched fields of all rows that search, in the study's order."""
    searching = [arm for arm in header.arms if not arm.tuned_as]
    return tuple(field for arm in searching for field in _fields(arm, runs[arm.name]))


def is_logarithmic(range_: Range) -> bool:
    """Whether the search drew the logarithms of its values evenly."""
    return isinstance(range_, LogUniform) or (isinstance(range_, Integers) and range_.log)


class _Ended(NamedTuple):
    """A search trial that ended, as it was seen then."""

    trial: Trial
    tried: Tried
    score: float


def _fields(arm: ArmHeader, runs: ArmRuns) -> list[SearchedField]:
    dimensions = recorded_dimensions(arm, [run.ask.trial for run in runs.all])
    ended = [each for run in runs.search if (each := _ended(run, dimensions, arm.select)) is not None]
    complete = [each for each in ended if each.tried.state == "complete"]
    fitted = [each for each in complete if each.tried.point is not None]
    shares = importance(dimensions, [each.tried for each in ended])
    made = []
    for name, dimension in dimensions.items():
        range_ = dimension.range
        enough = len(fitted) >= LEAST_TRIALS
        at = (range_.values if isinstance(range_, OneOf) else _along(range_)) if enough else ()
        made.append(
            SearchedField(
                arm=arm.name,
                supervised=arm.supervised,
                selector=arm.select,
                field=name,
                range=range_,
                complete=_marks(complete, name, range_),
                stopped=_marks([each for each in ended if each.tried.state == "stopped"], name, range_),
                default=_value([run.ask.trial for run in runs.search if run.ask.number == 0], name, range_),
                chosen=_value([run.ask.trial for run in runs.confirm], name, range_),
                at=at,
                response=_response(_marks(fitted, name, range_), at, range_) if enough else None,
                importance=shares.get(name),
                alone=len(dimensions) == 1,
            )
        )
    return made


def _ended(run: Run, dimensions: Mapping[str, Dimension], select: str) -> _Ended | None:
    """A search trial by the row's selector where it ended; None where that has judged no such end."""
    last = run.reports[-1] if run.reports else None
    if run.state not in ("complete", "stopped") or last is None or select not in last.metrics:
        return None
    trial, score = run.ask.trial, last.metrics[select]
    known = all(_value([trial], name, dimension.range) is not None for name, dimension in dimensions.items())
    place = point(dimensions, trial.values(dimensions)) if known else None
    return _Ended(trial, Tried(place, run.state, last.step, score), score)


def _marks(ended: Sequence[_Ended], field: str, range_: Range) -> tuple[Mark, ...]:
    marks = [Mark(_value([each.trial], field, range_), each.score) for each in ended]
    return tuple(mark for mark in marks if mark.value is not None)


def _value(trials: Sequence[Trial], field: str, range_: Range) -> Any:
    """The first trial's value of a field, outside of the range as well; None without any that its scale can show."""
    value = trials[0].values([field])[field] if trials else None
    if isinstance(range_, OneOf):
        return value if value in range_.values else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value if value > 0 or not is_logarithmic(range_) else None


def _response(marks: Sequence[Mark], at: Sequence[Any], range_: Range) -> Response:
    return response(
        [_place(range_, mark.value) for mark in marks],
        [mark.score for mark in marks],
        [_place(range_, value) for value in at],
        listed=isinstance(range_, OneOf),
    )


def _place(range_: Range, value: Any) -> float:
    """Where a value lies on the range's scale, from 0 to 1; of listed values, which one it is."""
    if isinstance(range_, OneOf):
        return float(range_.values.index(value))
    low, high, here = (math.log(each) if is_logarithmic(range_) else each for each in (*range_.ends(), value))
    return float((here - low) / (high - low))


def _along(range_: Range) -> tuple[float, ...]:
    """Values at even distances on the range's scale, its ends among them."""
    low, high = range_.ends()
    parts = [number / (PLACES - 1) for number in range(PLACES)]
    if is_logarithmic(range_):
        return tuple(low * (high / low) ** part for part in parts)
    return tuple(low + (high - low) * part for part in parts)
