"""The search decisions of a study: what to try next, what to stop, what to confirm.

Everything here is a function of the records. A study that goes on after a crash rebuilds its decisions by reading them.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from platform.randomness import derive, generator
from platform.records import Ask, Record
from platform.space import Dimension
from platform.trials import Trial

ATTEMPTS = 8
"""Proposals of Optuna that may repeat a trial before an untried point is drawn instead."""


def history(
    dimensions: Mapping[str, Dimension], asks: Sequence[Ask], records: Mapping[str, Record], select: str
) -> optuna.Study:
    """The Optuna study of one arm: its search trials in the order asked, complete, pruned, failed or running.

    A published default that lies outside the ranges is no point of the space, and is left out.
    """
    study = optuna.create_study(direction="maximize")
    distributions = {name: dimension.distribution() for name, dimension in dimensions.items()}
    study.add_trials(
        frozen
        for ask in asks
        if (frozen := _frozen(ask.trial, records[ask.trial.id], dimensions, distributions, select)) is not None
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

    The sampler of the n-th proposal is seeded from the address (study, arm) and n. Values that would train what was
    trained already are not proposed: an integer behind a real hyperparameter counts once.
    """
    if not asks:
        return {}
    known = history(dimensions, asks, records, select)
    tried = [_proposals(ask.trial, dimensions) for ask in asks]
    for attempt in range(ATTEMPTS):
        proposed = _ask(known, dimensions, derive(*address, len(asks), attempt))
        if proposed not in tried:
            return {name: dimensions[name].value(value) for name, value in proposed.items()}
    untried = [point for point in _grid(dimensions) if point not in tried]
    chosen = untried[generator(*address, len(asks)).integers(len(untried))]
    return {name: dimensions[name].value(value) for name, value in chosen.items()}


def best(asks: Sequence[Ask], records: Mapping[str, Record], select: str) -> Ask | None:
    """The search trial with the highest selector at its last step, among those that trained all steps; the earliest of equals."""
    complete = [ask for ask in asks if (end := records[ask.trial.id].end) is not None and end.state == "complete"]
    return max(complete, key=lambda ask: records[ask.trial.id].reports[-1].metrics[select], default=None)


def cut(values: Sequence[float], reduction: int) -> float:
    """The value that a trial must reach at a rung to go on: the k-th best of `values`, k = max(1, n // reduction).

    `values` are those of all n trials of the arm seen at the rung so far, the trial in question included.
    """
    return sorted(values, reverse=True)[max(1, len(values) // reduction) - 1]


def rung_values(asks: Sequence[Ask], records: Mapping[str, Record], select: str, step: int) -> list[float]:
    """The selector of every trial of an arm that has reported at a step."""
    return [
        report.metrics[select] for ask in asks for report in records[ask.trial.id].reports if report.step == step
    ]


def chosen_values(trial: Trial, names: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """A trial's values of the named fields, the method's before the recipe's."""
    return {name: trial.hyperparameters.get(name, trial.recipe.get(name)) for name in names}


def _ask(known: optuna.Study, dimensions: Mapping[str, Dimension], seed: int) -> dict[str, Any]:
    # A copy is asked, so that a proposal that is dropped leaves no trace in the history.
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed % 2**32))
    study.add_trials(known.trials)
    return study.ask({name: dimension.distribution() for name, dimension in dimensions.items()}).params


def _frozen(
    trial: Trial,
    record: Record,
    dimensions: Mapping[str, Dimension],
    distributions: dict[str, BaseDistribution],
    select: str,
) -> FrozenTrial | None:
    params = _proposals(trial, dimensions)
    if not all(distributions[name]._contains(distributions[name].to_internal_repr(params[name])) for name in params):
        return None
    states = {"complete": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
    state = TrialState.RUNNING if record.end is None else states[record.end.state]
    curve = {report.step: report.metrics[select] for report in record.reports}
    value = curve[record.step] if state is TrialState.COMPLETE else None
    return create_trial(
        state=state, value=value, params=params, distributions=distributions, intermediate_values=curve
    )


def _proposals(trial: Trial, dimensions: Mapping[str, Dimension]) -> dict[str, Any]:
    values = chosen_values(trial, dimensions)
    return {name: dimension.proposal(values[name]) for name, dimension in dimensions.items()}


def _grid(dimensions: Mapping[str, Dimension]) -> Iterator[dict[str, Any]]:
    for point in itertools.product(*(dimension.values() for dimension in dimensions.values())):
        yield dict(zip(dimensions, point, strict=True))
