"""An arm's search: its clock, fed with what is on record of its trials."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from platform.design import asha
from platform.design.asha import ASHA
from platform.design.row import Row
from platform.records.ledger import Ledger
from platform.records.record import Ask, End, Record
from platform.records.trial import SEARCH_SEED, evaluated_steps
from platform.search.clock import Clock, Course, Ended, Outcome
from platform.search.health import ailment
from platform.search.proposals import Tried, point, propose


class ArmSearch:
    """The search trials of a row, as far as the records tell."""

    def __init__(
        self,
        row: Row,
        rungs: Sequence[int],
        ledger: Ledger,
        records: Mapping[str, Record],
        identity: dict[str, Any],
        after: tuple[str, ...],
    ) -> None:
        """`records` are the ledger's as decisions see them; `after` the trials that all of the row's begin from."""
        assert row.search is not None
        self.row = row
        self.asks: list[Ask] = []
        self._asha: ASHA = row.search
        self._steps = evaluated_steps(row.budget.steps, row.budget.evaluations)
        self._ledger, self._records = ledger, records
        self._identity, self._after = identity, after
        self._selector = row.selector
        self._by_others = ledger.judges_by_others(row.name)
        """Whether what the selector says of a trial changes when another one comes."""
        self._points: list[Mapping[str, Any] | None] = []
        """The trials' points among those that may be proposed."""
        self._told: dict[int, Tried] = {}
        """What was seen of trials that have ended, where nothing changes it any more."""
        self._compared: dict[tuple[int, int], float] = {}
        """What is compared of trials at evaluations, where nothing changes it any more."""
        self._concluded = 0
        self.clock = Clock(
            Course(
                trials=row.search_trials,
                parallel=min(row.search.at_a_time, row.search_trials),
                evaluations=len(self._steps),
                rungs=tuple(self._steps.index(rung) + 1 for rung in rungs),
                reduction=row.search.reduction,
                promote=row.search.promote,
            ),
            self,
        )

    def advance(self) -> None:
        """Take every decision that the records allow, and note those that are new."""
        self.clock.advance()
        self._conclude()

    def open(self) -> Iterator[Ask]:
        """The trials that may be trained on, in the order in which their evaluations count."""
        for _, number in self.clock.working:
            if self._may_be_trained(number):
                yield self.asks[number]

    def wants(self, number: int) -> bool:
        """Whether a trial may be trained to another evaluation before its next decision is known."""
        return number in self.clock.at_work and self._may_be_trained(number)

    def _may_be_trained(self, number: int) -> bool:
        record = self._record(number)
        if record.end is not None or len(record.reports) >= self.clock.due(number):
            return False
        # What the clock has yet to see may end it.
        ahead = range(self.clock.seen[number] + 1, len(record.reports) + 1)
        return all(self.outcome(number, evaluation) == "went on" for evaluation in ahead)

    @property
    def best(self) -> Ask | None:
        """The trial to confirm, by `asha.best`: a complete one, unless those that stopped all others failed later.

        None when all failed.
        """
        healthy = [number for number, end in sorted(self.clock.ends.items()) if end.state != "failed"]
        last = [(self.clock.seen[number], self._last_value(number)) for number in healthy]
        place = asha.best(last)
        return None if place is None else self.asks[healthy[place]]

    def ask(self, number: int) -> None:
        """Propose a trial from what the clock has seen of those before it."""
        self._conclude()
        values = propose(self.row.dimensions, [*map(self._tried, range(number))], (self._ledger.study, self.row.name))
        trial = self.row.trial(values, SEARCH_SEED, self._identity, self._after)
        self.asks.append(Ask(self.row.name, "search", number, trial))
        self._points.append(point(self.row.dimensions, trial.values(self.row.dimensions)))
        self._ledger.ask(self.asks[-1])

    def outcome(self, number: int, evaluation: int) -> Outcome | None:
        """What became of a trial at an evaluation; None while that is not on record.

        A trial that failed for a reason outside of it is as if nothing were known: it leaves the arm undecided.
        """
        record = self._record(number)
        if len(record.reports) >= evaluation:
            last = evaluation == len(self._steps)
            return "went on" if last or ailment(record.reports[:evaluation]) is None else "failed"
        failed = record.end is not None and record.end.state == "failed"
        return "failed" if failed and not record.is_given_up else None

    def compared(self, numbers: Sequence[int], evaluation: int) -> Sequence[float]:
        """What is compared of the trials that were seen at a rung: the mean of their last values there."""
        unknown = [number for number in numbers if self._by_others or (number, evaluation) not in self._compared]
        if unknown:
            first = max(1, evaluation - self._asha.smoothing + 1)
            columns = [self._values(unknown, each) for each in range(first, evaluation + 1)]
            for number, *curve in zip(unknown, *columns, strict=True):
                self._compared[number, evaluation] = self._asha.compared(curve)
        return [self._compared[number, evaluation] for number in numbers]

    def _values(self, numbers: Sequence[int], evaluation: int) -> list[float]:
        """The selector of trials at an evaluation; by one that compares, among all that the clock has seen there."""
        if not self._by_others:
            return [self._record(number).reports[evaluation - 1].metrics[self._selector] for number in numbers]
        there = [number for number, seen in enumerate(self.clock.seen) if seen >= evaluation]
        ids = [self.asks[number].trial.id for number in there]
        scores = self._ledger.compared(self.row.name, ids, self._steps[evaluation - 1])
        known = dict(zip(there, scores, strict=True))
        return [known[number] for number in numbers]

    def _last_value(self, number: int) -> float:
        return self._values([number], self.clock.seen[number])[0]

    def _tried(self, number: int) -> Tried:
        """What was seen of a trial."""
        if number in self._told:
            return self._told[number]
        seen, end = self.clock.seen[number], self.clock.ends.get(number)
        tried = Tried(
            point=self._points[number],
            state=None if end is None else end.state,
            step=self._steps[seen - 1] if seen else 0,
            value=self._last_value(number) if seen else None,
        )
        if end is not None and not self._by_others:
            self._told[number] = tried
        return tried

    def _record(self, number: int) -> Record:
        return self._records[self.asks[number].trial.id]

    def _conclude(self) -> None:
        """Note the ends that are new."""
        for number in list(self.clock.ends)[self._concluded :]:
            self._ledger.end(self.asks[number], self._end(number, self.clock.ends[number]))
        self._concluded = len(self.clock.ends)

    def _end(self, number: int, ended: Ended) -> End:
        record = self._record(number)
        if ended.state == "failed" and len(record.reports) < ended.evaluation:
            assert record.end is not None
            return record.end
        step = self._steps[ended.evaluation - 1]
        if ended.state == "stopped":
            what = f"mean of the last {self._asha.smoothing} " if self._asha.smoothing > 1 else ""
            below = "below" if ended.value < ended.cut else "not above"
            words = f"{what}{self._selector} {ended.value:.4f} is {below} the cut {ended.cut:.4f}"
            return End("stopped", "below the cut", f"rung {step}: {words}", step)
        cause, reason = ailment(record.reports[: ended.evaluation]) or (None, "")
        return End(ended.state, cause, reason, step)
