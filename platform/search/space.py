"""What Optuna makes of a study's ranges, and what records say of them."""

from collections.abc import Iterable

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from platform.design.ranges import Dimension, Integers, LogUniform, Range, range_of
from platform.methods.method import Integer
from platform.records.record import ArmHeader
from platform.records.trial import Trial


def distribution(dimension: Dimension) -> BaseDistribution:
    """A searched field in Optuna's terms."""
    proposals = dimension.proposals()
    match proposals:
        case None:
            low, high = dimension.range.ends()
            return FloatDistribution(low, high, log=isinstance(dimension.range, LogUniform))
        case range(start=low, stop=stop):
            logarithmic = dimension.range.log if isinstance(dimension.range, Integers) else None
            log = isinstance(dimension.range, LogUniform) if logarithmic is None else logarithmic
            return IntDistribution(low, stop - 1, log=log)
    return CategoricalDistribution(proposals)


def recorded_dimensions(arm: ArmHeader, trials: Iterable[Trial]) -> dict[str, Dimension]:
    """An arm's searched fields as its search saw them, from records, which are all that a table is made of.

    It knows of these trials alone through which integers their values act. What is no range is left out.
    """
    ranges = {field: range_of(text) for field, text in arm.searched.items()}
    trials = tuple(trials)
    return {
        field: Dimension(range_, _integer(field, range_, arm, trials))
        for field, range_ in ranges.items()
        if range_ is not None
    }


def _integer(field: str, range_: Range, arm: ArmHeader, trials: Iterable[Trial]) -> Integer | None:
    """The integer through which a field acts; None where it acts itself, and in records of before version 0.2."""
    ends = range_.ends()
    known = arm.integers.get(field, ())
    if len(known) != len(ends) or not all(len(trial.resolved.get(field, {})) == 1 for trial in trials):
        return None
    of: dict[float, int] = dict(zip(ends, known, strict=True))
    for trial in trials:
        of |= {trial.values([field])[field]: number for number in trial.resolved[field].values()}
    values = {number: value for value, number in of.items()}
    return Integer(field, of.__getitem__, values.__getitem__)
