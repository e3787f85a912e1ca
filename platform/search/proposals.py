"""What to try next: an arm's trials as Optuna sees them, and its proposal.

Everything here is a function of what was seen: a study that goes on after a crash makes the same proposals again.
"""

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from platform.design.ranges import Dimension
from platform.records.record import State
from platform.search.space import distribution
from platform.shifts.randomness import derive

optuna.logging.set_verbosity(optuna.logging.WARNING)
STARTUP = 4
"""Ended trials before which proposals are random. With Optuna's 10, a search of 8 trials would be random throughout."""
EPOCH = datetime.fromtimestamp(0, UTC)
"""When every trial ran, for Optuna, which wants a time and makes nothing of it."""
ATTEMPTS = 8
"""Proposals of TPE that may repeat a trial before points are drawn at random instead."""


class Tried(NamedTuple):
    """A search trial, as far as it was seen when the next one was proposed."""

    point: Mapping[str, Any] | None
    """Its `point` among those that may be proposed."""
    state: State | None
    """None while it goes on."""
    step: int
    value: float | None
    """The selector at its last evaluation; None before the first."""


def point(dimensions: Mapping[str, Dimension], values: Mapping[str, Any]) -> dict[str, Any] | None:
    """What would have been proposed for a trial's values, as records have them.

    None where that is no point of the space: a published default may lie outside the ranges.
    """
    if not all(dimension.holds(values[name]) for name, dimension in dimensions.items()):
        return None
    return {name: dimension.proposal(values[name]) for name, dimension in dimensions.items()}


def history(dimensions: Mapping[str, Dimension], tried: Sequence[Tried]) -> optuna.Study:
    """The Optuna study of one arm: its search trials in the order asked, complete, pruned, failed or running.

    What is no point of the space is left out.
    """
    study = optuna.create_study(direction="maximize")
    distributions = {name: distribution(dimension) for name, dimension in dimensions.items()}
    study.add_trials(_told(each.point, each, distributions) for each in tried if each.point is not None)
    return study


def propose(dimensions: Mapping[str, Dimension], tried: Sequence[Tried], address: tuple[str, str]) -> dict[str, Any]:
    """Values for the next search trial of an arm: the published default first (no values), then TPE's proposals.

    TPE: Bergstra et al., NeurIPS 2011. A trial that goes on, or waits at a rung, counts as one stopped at its last
    evaluation: TPE would else know nothing of it, and with several trials at a time little better than a random search.
    The sampler of the n-th proposal is seeded from the address (study, arm) and n.
    Values that would train what was trained already are not proposed: an integer behind a real hyperparameter counts
    once. The ranges must hold an untried point.
    """
    if not tried:
        return {}
    known = history(dimensions, tried)
    distributions = {name: distribution(dimension) for name, dimension in dimensions.items()}
    for attempt in itertools.count():
        seed = derive(*address, len(tried), attempt) % 2**32
        known.sampler = (
            TPESampler(n_startup_trials=STARTUP, seed=seed) if attempt < ATTEMPTS else RandomSampler(seed=seed)
        )
        proposal = known.ask(distributions)
        proposed = proposal.params
        if all(proposed != each.point for each in tried):
            break
        # TPE learns nothing from failed trials.
        known.tell(proposal, state=TrialState.FAIL)
    return {name: dimensions[name].value(value) for name, value in proposed.items()}


class _Told(FrozenTrial):
    """A trial made for one Optuna study alone, which need not copy it: copies took most of a proposal's time."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Told":
        return self


def _told(params: Mapping[str, Any], tried: Tried, distributions: dict[str, BaseDistribution]) -> _Told:
    states = {
        None: TrialState.RUNNING if tried.value is None else TrialState.PRUNED,
        "complete": TrialState.COMPLETE,
        "stopped": TrialState.PRUNED,
        "failed": TrialState.FAIL,
    }
    state = states[tried.state]
    return _Told(
        number=-1,  # Optuna gives it one
        trial_id=-1,
        state=state,
        value=tried.value if state is TrialState.COMPLETE else None,
        datetime_start=EPOCH,
        datetime_complete=EPOCH if state.is_finished() else None,
        params=dict(params),
        distributions=distributions,
        user_attrs={},
        system_attrs={},
        # TPE ranks stopped trials by how far they came, then by their last value: it reads no more of the curve.
        intermediate_values={} if tried.value is None else {tried.step: tried.value},
    )
