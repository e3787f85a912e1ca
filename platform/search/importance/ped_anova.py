"""How much each searched field matters, by PED-ANOVA.

Watanabe, Bansal, Hutter, IJCAI 2023, arXiv 2304.10255, as Optuna has it: how far the distribution of a field's values
among the best half of the trials lies from that among all, by Pearson's divergence, as a share of the sum over fields.
Departure: the best half and not the best tenth, in which a search of 40 trials has four.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator

from platform.design.ranges import Dimension
from platform.search.proposals import Tried, history

BEST = 0.5
"""The share of the trials that is compared with all."""
LEAST_TRIALS = 20
"""Complete trials below which two fields stand in the wrong order too often: `python -m benchmarks.responses`."""
SHUFFLES = 199


@dataclass(frozen=True)
class Importance:
    """How much a field matters beside the others."""

    share: float
    """Of the sum of all fields' divergences; the shares of one row add up to 1."""
    chance: float
    """How often scores dealt out to the trials by chance make its divergence as large.

    A bootstrap would give the share an interval, which seldom holds what more trials give: few trials, some of them
    twice, tell the fields apart worse than all of them.
    """


def importance(dimensions: Mapping[str, Dimension], tried: Sequence[Tried]) -> dict[str, Importance]:
    """The importance of each field, from complete trials; none where there is one field, or too few trials.

    A trial that was stopped has a value of fewer steps, which is no value of these.
    """
    complete = [each for each in tried if each.state == "complete" and each.point is not None]
    if len(dimensions) < 2 or len(complete) < LEAST_TRIALS:
        return {}
    random = np.random.default_rng(0)
    dealt = [random.permutation(np.asarray([each.value for each in complete], float)).tolist() for _ in range(SHUFFLES)]
    by_chance = [
        divergences(dimensions, [each._replace(value=value) for each, value in zip(complete, values, strict=True)])
        for values in dealt
    ]
    found = divergences(dimensions, complete)
    total = sum(found.values())
    return {
        field: Importance(
            share=divergence / total if total else 1 / len(found),
            chance=(1 + sum(each[field] >= divergence for each in by_chance)) / (1 + SHUFFLES),
        )
        for field, divergence in found.items()
    }


def divergences(dimensions: Mapping[str, Dimension], tried: Sequence[Tried]) -> dict[str, float]:
    """How far each field's values among the best half lie from those among all, from two complete trials or more."""
    with warnings.catch_warnings():
        # Where all scores are equal every trial is among the best, and nothing tells them apart.
        warnings.simplefilter("ignore")
        found = optuna.importance.get_param_importances(
            history(dimensions, tried),
            evaluator=PedAnovaImportanceEvaluator(target_quantile=BEST),
            params=list(dimensions),
            normalize=False,
        )
    return {field: found[field] for field in dimensions}
