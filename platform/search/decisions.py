"""What a study does next: which trial to ask for, and when one has ended.

Every decision is a function of the study and of what is on record, so a study that goes on decides as it would have
decided, and a trial that another study has trained before is judged as if it were trained now.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from platform.design.asha import ASHA, cut
from platform.design.row import Row
from platform.design.study import Study
from platform.records.ledger import Ledger
from platform.records.provenance import provenance
from platform.records.record import Arrival, Ask, End, Record, Report
from platform.records.trial import SEARCH_SEED, confirm_seed
from platform.search.blind import BlindRecords
from platform.search.due import Due, Wanted, due, is_complete
from platform.search.health import ailment
from platform.search.proposals import propose
from platform.training.cost import cost_of
from platform.training.given import Given


@dataclass(frozen=True)
class Search:
    """The search of a study: its decisions, from what its ledger holds."""

    study: Study
    ledger: Ledger
    identity: dict[str, Any]
    """`Shift.identity()` of the study's shift."""

    @functools.cached_property
    def _seen(self) -> Mapping[str, Mapping[str, Record]]:
        """By row, the records as its decisions see them: without what target labels made, unless that selects."""
        return {row.name: BlindRecords(self.ledger, row.name, row.selector) for row in self.study.rows}

    def next_ask(self, arm: str) -> Ask | None:
        """The next trial of an arm: search trials, then the confirm trials of the best; None for now, or for good."""
        row = self.study.row(arm)
        due_trial = due(_wanted(row), self.ledger.asks, self._seen[arm])
        if due_trial is None:
            return None
        if due_trial.phase == "confirm":
            return self._ask(row, due_trial, due_trial.values, confirm_seed(due_trial.number))
        # The published default comes first, also when a damaged journal has lost it.
        known = self.ledger.asked(arm, "search") if due_trial.number else []
        values = propose(row.dimensions, known, self._seen[arm], row.selector, (self.ledger.study, arm))
        return self._ask(row, due_trial, values, SEARCH_SEED)

    def is_finished(self) -> bool:
        """Whether every trial that was asked for has ended, and none is left to ask for."""
        return is_complete(map(_wanted, self.study.rows), self.ledger.asks, self._seen)

    def settle(self, ask: Ask, judged: int = 0) -> None:
        """Decide, in order of steps, what a trial's reports call for, until one of them ends it.

        The first `judged` reports were decided upon before.
        """
        steps = [report.step for report in self._record(ask).reports]
        for number, step in enumerate(steps[judged:], start=judged + 1):
            # Step by step: where it ends here, what another study has of it later is compared with nothing.
            self.ledger.judge(ask, step)
            end = self._verdict(ask, self._record(ask).reports[:number])
            if end is not None:
                self.ledger.end(ask, end)
                return
        if (failed := self.ledger.failed_before(ask)) is not None:
            self.ledger.end(ask, failed)

    def note_arrivals(self, ask: Ask) -> None:
        """Have a trial that another arm of the study began be judged for this arm, and count at its rungs, too.

        It is trained once, and ends once: as the arm decides that asked for it first.
        """
        for report in self._record(ask).reports:
            self.ledger.judge(ask, report.step)
        if self.study.search is None or ask.phase == "confirm":
            return
        reports = self._record(ask).reports
        for number, report in enumerate(reports, start=1):
            if report.step in self.study.rungs:
                self._arrive(ask, self.study.search, reports[:number])

    def first_record(self, ask: Ask) -> Record:
        """What is known of a trial before its first step."""
        row = self.study.row(ask.arm)
        cost = cost_of(*row.filled(ask.trial.values(row.dimensions)), self.given(ask))
        return Record(trial=ask.trial, provenance=provenance(), cost=asdict(cost))

    def given(self, ask: Ask) -> tuple[Given, ...]:
        """The trials that a trial begins from, in the order of the arms that its own comes after."""
        return tuple(
            self._given(next(other for other in self.ledger.asks if (other.arm, other.trial.id) == (row.name, start)))
            for row, start in zip(self.study.row(ask.arm).given, ask.trial.after, strict=True)
        )

    def _given(self, ask: Ask) -> Given:
        row = self.study.row(ask.arm)
        return Given(*row.filled(ask.trial.values(row.dimensions)), self.given(ask), ask.trial.id)

    def _verdict(self, ask: Ask, reports: tuple[Report, ...]) -> End | None:
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
        return self._judge(ask, reports) if step in self.study.rungs else None

    def _judge(self, ask: Ask, reports: tuple[Report, ...]) -> End | None:
        """Stop a trial at a rung unless it is among the best 1/reduction of those that arrived there before it."""
        asha = self.study.search
        assert asha is not None
        values = self._compared(self._arrive(ask, asha, reports))
        for same in self.ledger.meaning_the_same(ask):
            self.note_arrivals(same)
        value, least = values[-1], cut(values, asha.reduction)
        if value >= least:
            return None
        selector, step = self.study.row(ask.arm).selector, reports[-1].step
        mean = f"mean of the last {asha.smoothing} {selector}" if asha.smoothing > 1 else selector
        return End("stopped", "below the cut", f"rung {step}: {mean} {value:.4f} is below the cut {least:.4f}", step)

    def _compared(self, arrivals: Sequence[Arrival]) -> list[float]:
        """What is compared of those that arrived at a rung: as they arrived, unless each is judged by the others."""
        arm = arrivals[0].arm
        if not self.ledger.judges_by_others(arm):
            return [arrival.value for arrival in arrivals]
        asha, selector = self.study.search, self.study.row(arm).selector
        assert asha is not None
        curves = (
            [
                report.metrics[selector]
                for report in self._seen[arm][arrival.trial].reports
                if report.step <= arrival.step
            ]
            for arrival in arrivals
        )
        return [asha.compared(curve) for curve in curves]

    def _arrive(self, ask: Ask, asha: ASHA, reports: tuple[Report, ...]) -> list[Arrival]:
        """Have a trial count at the rung of the last of these reports: those that arrived there before it, and it."""
        selector = self.study.row(ask.arm).selector
        value = asha.compared([report.metrics[selector] for report in reports])
        return self.ledger.arrive(Arrival(ask.arm, ask.trial.id, reports[-1].step, value))

    def _record(self, ask: Ask) -> Record:
        return self._seen[ask.arm][ask.trial.id]

    def _ask(self, row: Row, due_trial: Due, values: Mapping[str, Any], seed: int) -> Ask:
        trial = row.trial(values, seed, self.identity, due_trial.after)
        return Ask(row.name, due_trial.phase, due_trial.number, trial)


def _wanted(row: Row) -> Wanted:
    return Wanted(row.name, row.search_trials, row.confirm_numbers, row.selector, row.dimensions, row.arm.follows)
