"""What to try next: an arm's records as Optuna sees them, and its proposal.

Everything here is a function of the records. A study that goes on after a crash reads the same proposals from them.
"""

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from platform.design.ranges import Dimension
from platform.records.record import Ask, Record
from platform.records.trial import Trial
from platform.search.space import distribution
from platform.shifts.randomness import derive

optuna.logging.set_verbosity(optuna.logging.WARNING)
STARTUP = 4
"""Ended trials before which proposals are random. With Optuna's 10, a search of 8 trials would be random throughout."""
EPOCH = datetime.fromtimestamp(0, UTC)
"""When every trial ran, for Optuna, which wants a time and makes nothing of it."""
ATTEMPTS = 8
"""Proposals of TPE that may repeat a trial before points are drawn at random instead."""


def history(
    dimensions: Mapping[str, Dimension], asks: Sequence[Ask], records: Mapping[str, Record], select: str
) -> optuna.Study:
    """The Optuna study of one arm: its search trials in the order asked, complete, pruned, failed or running.

    A published default that lies outside the ranges is no point of the space, and is left out.
    """
    study = optuna.create_study(direction="maximize")
    distributions = {name: distribution(dimension) for name, dimension in dimensions.items()}
    study.add_trials(
        told
        for ask in asks
        if (told := _told(ask.trial, records[ask.trial.id], dimensions, distributions, select)) is not None
    )
    return study


def propose(
    dimensions: Mapping[str, Dimension],
    asks: Sequence[Ask],
    records: Mapping[str, Record],
    select: str,
    address: tuple[str, str],
) -> dict[str, Any]:
    """Values for the next search trial of an arm: the published default first (no values), then TPE's proposals.

    TPE: Bergstra et al., NeurIPS 2011. The sampler of the n-th proposal is seeded from the address (study, arm) and n.
    Values that would train what was trained already are not proposed: an integer behind a real hyperparameter counts
    once. The ranges must hold an untried point.
    """
    if not asks:
        return {}
    known = history(dimensions, asks, records, select)
    distributions = {name: distribution(dimension) for name, dimension in dimensions.items()}
    tried = [_proposals(ask.trial, dimensions) for ask in asks]
    for attempt in itertools.count():
        seed = derive(*address, len(asks), attempt) % 2**32
        known.sampler = (
            TPESampler(n_startup_trials=STARTUP, seed=seed) if attempt < ATTEMPTS else RandomSampler(seed=seed)
        )
        proposal = known.ask(distributions)
        if proposal.params not in tried:
            break
        # TPE learns nothing from failed trials.
        known.tell(proposal, state=TrialState.FAIL)
    return {name: dimensions[name].value(value) for name, value in proposal.params.items()}


class _Told(FrozenTrial):
    """A trial made for one Optuna study alone, which need not copy it: copies took most of a proposal's time."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Told":
        return self


def _told(
    trial: Trial,
    record: Record,
    dimensions: Mapping[str, Dimension],
    distributions: dict[str, BaseDistribution],
    select: str,
) -> _Told | None:
    values = trial.values(dimensions)
    if not all(dimension.holds(values[name]) for name, dimension in dimensions.items()):
        return None
    states = {"complete": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
    state = TrialState.RUNNING if record.end is None else states[record.end.state]
    # TPE ranks stopped trials by how far they came, then by their last value: it reads no more of the curve.
    last = {report.step: report.metrics[select] for report in record.reports[-1:]}
    return _Told(
        number=-1,  # Optuna gives it one
        trial_id=-1,
        state=state,
        value=last[record.step] if state is TrialState.COMPLETE else None,
        datetime_start=EPOCH,
        datetime_complete=EPOCH if state.is_finished() else None,
        params={name: dimension.proposal(values[name]) for name, dimension in dimensions.items()},
        distributions=distributions,
        user_attrs={},
        system_attrs={},
        intermediate_values=last,
    )


def _proposals(trial: Trial, dimensions: Mapping[str, Dimension]) -> dict[str, Any]:
    values = trial.values(dimensions)
    return {name: dimension.proposal(values[name]) for name, dimension in dimensions.items()}
