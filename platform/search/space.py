"""What Optuna makes of a study's ranges."""

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from platform.design.ranges import Dimension, Integers, LogUniform


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
