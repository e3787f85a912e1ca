"""What a study does next: which trial to ask for, and when one has ended.

Every decision is a function of the study and of what is on record, so a study that goes on decides as it would have
decided, and a trial that another study has trained before is judged as if it were trained now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from platform.design.asha import ASHA, cut, smoothed
from platform.design.study import Study
from platform.records.ledger import Ledger
from platform.records.provenance import provenance
from platform.records.record import Arrival, Ask, End, Phase, Record, Report
from platform.records.trial import SEARCH_SEED
from platform.search.health import ailment
from platform.search.proposals import chosen_values, propose
from platform.training.cost import cost_of
from platform.training.recipe import Recipe


def next_ask(study: Study, ledger: Ledger, identity: dict[str, Any], arm: str) -> Ask | None:
    """The next trial of an arm: search trials, then the confirm trials of the best; None while it waits, or is done."""
    searched, row = ledger.asked(arm, "search"), study.row(arm)
    if len(searched) < row.search_trials:
        number, address = _free(searched), (ledger.study, arm)
        # The published default comes first, also when a damaged journal has lost it.
        known = searched if number else []
        values = propose(row.dimensions, known, ledger.records, row.selector, address)
        return _ask(study, identity, arm, "search", number, values, SEARCH_SEED)
    if searching(ledger, arm):
        return None
    winner = best(searched, ledger.records, row.selector)
    if searched and winner is None:
        return None
    values = {} if winner is None else chosen_values(winner.trial, row.dimensions)
    # Told apart by what was chosen: to make a trial and hash it, for every seed and at every report, takes far longer.
    confirms = ledger.asked(arm, "confirm")
    confirmed = {ask.trial.seed for ask in confirms if chosen_values(ask.trial, row.dimensions) == values}
    for number in range(study.seeds):
        if (seed := SEARCH_SEED + 1 + number) not in confirmed:
            return _ask(study, identity, arm, "confirm", number, values, seed)
    return None


def searching(ledger: Ledger, arm: str) -> bool:
    """Whether a search trial of an arm has not ended."""
    return any(ledger.ended(ask) is None for ask in ledger.asked(arm, "search"))


def finished(study: Study, ledger: Ledger, identity: dict[str, Any]) -> bool:
    """Whether every trial that was asked for has ended, and none is left to ask for."""
    ended = all(ledger.ended(ask) is not None for ask in ledger.asks)
    return ended and all(next_ask(study, ledger, identity, arm) is None for arm in study.arms)


def settle(study: Study, ledger: Ledger, ask: Ask, judged: int = 0) -> None:
    """Decide, in order of steps, what a trial's reports call for, until one of them ends it.

    The first `judged` reports were decided upon before.
    """
    reports = ledger.records[ask.trial.id].reports
    for number in range(judged + 1, len(reports) + 1):
        end = _verdict(study, ledger, ask, reports[:number])
        if end is not None:
            ledger.end(ask, end)
            return
    if (failed := ledger.failed_before(ask)) is not None:
        ledger.end(ask, failed)


def note_arrivals(study: Study, ledger: Ledger, ask: Ask) -> None:
    """Have a trial that another arm of the study began count at the rungs of this arm too: both are compared with it.

    It is trained once and ends once, as the arm has it that asked for it first.
    """
    if study.search is None or ask.phase == "confirm":
        return
    reports = ledger.records[ask.trial.id].reports
    for number, report in enumerate(reports, start=1):
        if report.step in study.rungs:
            _arrive(study, ledger, ask, study.search, reports[:number])


def first_record(study: Study, ask: Ask) -> Record:
    """What is known of a trial before its first step."""
    method = study.arms[ask.arm].method(**ask.trial.hyperparameters)
    cost = cost_of(method, Recipe(**ask.trial.recipe))
    return Record(trial=ask.trial, provenance=provenance(), cost=asdict(cost))


def _verdict(study: Study, ledger: Ledger, ask: Ask, reports: tuple[Report, ...]) -> End | None:
    """How a trial ends at the last of these reports, None when it goes on."""
    step = reports[-1].step
    cause, reason = ailment(reports) or (None, "")
    if step >= ask.trial.steps:
        return End("complete", cause, reason, step)
    if ask.phase == "confirm":
        # A row without its collapsed seeds would flatter its method: they run to their end, and count.
        return None
    if cause is not None:
        return End("failed", cause, reason, step)
    return _judge(study, ledger, ask, reports) if step in study.rungs else None


def _judge(study: Study, ledger: Ledger, ask: Ask, reports: tuple[Report, ...]) -> End | None:
    """Stop a trial at a rung unless it is among the best 1/reduction of those that arrived there before it."""
    assert study.search is not None
    values = [arrival.value for arrival in _arrive(study, ledger, ask, study.search, reports)]
    for same in ledger.meaning_the_same(ask):
        note_arrivals(study, ledger, same)
    value, least = values[-1], cut(values, study.search.reduction)
    if value >= least:
        return None
    selector, smoothing, step = study.row(ask.arm).selector, study.search.smoothing, reports[-1].step
    mean = f"mean of the last {smoothing} {selector}" if smoothing > 1 else selector
    return End("stopped", "below the cut", f"rung {step}: {mean} {value:.4f} is below the cut {least:.4f}", step)


def _arrive(study: Study, ledger: Ledger, ask: Ask, asha: ASHA, reports: tuple[Report, ...]) -> list[Arrival]:
    """Have a trial count at the rung of the last of these reports: those that arrived there before it, and it."""
    value = smoothed(reports, study.row(ask.arm).selector, asha.smoothing)
    return ledger.arrive(Arrival(ask.arm, ask.trial.id, reports[-1].step, value))


def _ask(
    study: Study, identity: dict[str, Any], arm: str, phase: Phase, number: int, values: dict[str, Any], seed: int
) -> Ask:
    return Ask(arm, phase, number, study.row(arm).trial(values, seed, identity))


def _free(asks: list[Ask]) -> int:
    """The first number that no ask has: mostly how many there are, unless the journal was damaged."""
    taken = {ask.number for ask in asks}
    return next(number for number in range(len(asks) + 1) if number not in taken)


def best(asks: Sequence[Ask], records: Mapping[str, Record], select: str) -> Ask | None:
    """The trial that came furthest without failing; of several the one with the highest selector there, the earliest.

    It is a complete trial, unless those that stopped all others failed later. None when all failed.
    """
    healthy = [ask for ask in asks if (end := records[ask.trial.id].end) is not None and end.state != "failed"]

    def reached(ask: Ask) -> tuple[int, float]:
        last = records[ask.trial.id].reports[-1]
        return last.step, last.metrics[select]

    return max(healthy, key=reached, default=None)
