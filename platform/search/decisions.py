"""What a study has asked for and decided, and what may be trained next: a function of the study and its records.

Whoever trains, in whatever order and at whatever speed, changes when a decision is known, and never what it is. A study
that goes on decides as it would have decided, and a trial that another study has trained before is judged as if it were
trained now.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from platform.design.row import Row
from platform.design.study import Study
from platform.records.ledger import Ledger
from platform.records.provenance import provenance
from platform.records.record import Ask, End, Record
from platform.records.trial import SEARCH_SEED, confirm_seed, start_seed
from platform.search.arm import ArmSearch
from platform.search.blind import BlindRecords
from platform.search.health import ailment
from platform.training.cost import cost_of
from platform.training.given import Given

Seeds = Mapping[str, int]
"""How many confirm trials each row has, by its name; 0 where it is not to be trained at all."""


class Search:
    """The search of a study and what confirms it: its decisions, from what its ledger holds."""

    def __init__(
        self, study: Study, ledger: Ledger, identity: dict[str, Any], rounds: Callable[[], Seeds] | None = None
    ) -> None:
        """`identity` is `Shift.identity()` of the study's shift.

        `rounds` says, whenever all that was asked for has ended, how many seeds the table takes now: as many as before,
        or more. That is all that decisions here know of the table's scores. None gives every row all of its own.
        """
        self.study, self.ledger, self._identity = study, ledger, identity
        self._rounds = rounds
        self._seeds: Seeds = {row.name: row.seeds for row in study.rows} if rounds is None else {}
        self._rows = sorted(study.rows, key=_depth)
        self._seen = {row.name: BlindRecords(ledger, row.name, row.selector) for row in study.rows}
        """By row, the records as its decisions see them: without what target labels made, unless that selects."""
        self._searches: dict[str, ArmSearch] = {}
        self._confirm: dict[str, dict[int, Ask]] = {row.name: {} for row in study.rows}
        """By row and number."""
        with ledger.start_over():
            self.advance()

    def advance(self) -> None:
        """Take every decision that the records allow, and note those that are new in the ledger."""
        self._advance_rows()
        while self._rounds is not None and self._round_is_over and (seeds := self._rounds()) != self._seeds:
            self._seeds = seeds
            self._advance_rows()
        self.ledger.judge()

    @property
    def _round_is_over(self) -> bool:
        """A trial that failed for a reason outside of it decides nothing: the next run tries it again."""
        return all(
            self.ledger.ended(ask) is not None and not self._seen[ask.arm][ask.trial.id].is_given_up
            for ask in reversed(self.ledger.asks)
        )

    def _advance_rows(self) -> None:
        for row in (row for row in self._rows if self._seeds.get(row.name)):
            # A row that is tuned as another stands behind it.
            chooser = row.lender or row
            search = self._search(chooser)
            if search is not None and chooser is row:
                search.advance()
            if search.clock.finished if search is not None else not chooser.search_trials:
                self._confirm_chosen(row, search)
            for ask in self._confirm[row.name].values():
                if self.ledger.ended(ask) is None and (end := self._end(ask)) is not None:
                    self.ledger.end(ask, end)

    def open(self) -> Iterator[Ask]:
        """The trials that may be trained on, in the order of the study's arms and, within each, of what counts next."""
        for arm in self.study.arms:
            if (search := self._searches.get(arm)) is not None:
                yield from search.open()
            yield from filter(self.wants, self._confirm[arm].values())

    def wants(self, ask: Ask) -> bool:
        """Whether the arm that asked for a trial may have it trained to another evaluation."""
        if ask.phase == "search":
            return self._searches[ask.arm].wants(ask.number)
        return self.ledger.ended(ask) is None

    def may_go_on(self, ask: Ask) -> bool:
        """Whether a trial may be trained to another evaluation, for whichever arm means it."""
        return any(map(self.wants, self.ledger.meaning(ask.trial.id)))

    @property
    def is_over(self) -> bool:
        """Whether nothing may be trained: all is decided, or waits for the next run."""
        return next(self.open(), None) is None

    def first_record(self, ask: Ask) -> Record:
        """What is known of a trial before its first step."""
        row = self.study.row(ask.arm)
        cost = cost_of(*row.filled(ask.trial.values(row.dimensions)), self.given(ask))
        return Record(trial=ask.trial, provenance=provenance(), cost=asdict(cost))

    def given(self, ask: Ask) -> tuple[Given, ...]:
        """The trials that a trial begins from, in the order of the arms that its own comes after."""
        return tuple(
            self._given(next(other for other in self._confirm[row.name].values() if other.trial.id == start))
            for row, start in zip(self.study.row(ask.arm).given, ask.trial.after, strict=True)
        )

    def _given(self, ask: Ask) -> Given:
        row = self.study.row(ask.arm)
        return Given(*row.filled(ask.trial.values(row.dimensions)), self.given(ask), ask.trial.id)

    def _search(self, row: Row) -> ArmSearch | None:
        """The search of a row; None without one, and until there is what its trials begin from."""
        if row.name not in self._searches and row.search_trials:
            after = self._starts(row, SEARCH_SEED)
            if after is not None:
                made = ArmSearch(row, self.study.rungs, self.ledger, self._seen[row.name], self._identity, after)
                self._searches[row.name] = made
        return self._searches.get(row.name)

    def _confirm_chosen(self, row: Row, search: ArmSearch | None) -> None:
        """Ask for the confirm trials that a row lacks and whose beginnings are there, after the search if any."""
        asked = self._confirm[row.name]
        lacking = [number for number in row.confirms(self._seeds[row.name]) if number not in asked]
        if not lacking:
            return  # Every report comes here, and to rank all search trials takes its time.
        chosen = None if search is None else search.best
        if search is not None and chosen is None:
            return
        values = {} if chosen is None else chosen.trial.values(row.dimensions)
        for number in lacking:
            seed = confirm_seed(number)
            if (after := self._starts(row, seed)) is not None:
                asked[number] = Ask(row.name, "confirm", number, row.trial(values, seed, self._identity, after))
                self.ledger.ask(asked[number])

    def _starts(self, row: Row, seed: int) -> tuple[str, ...] | None:
        """The ids of the complete trials that one of this seed begins from; None where one is missing."""
        found = []
        for given in row.given:
            ask = next((ask for ask in self._confirm[given.name].values() if ask.trial.seed == start_seed(seed)), None)
            end = None if ask is None else self.ledger.ended(ask)
            if ask is None or end is None or end.state != "complete":
                return None
            found.append(ask.trial.id)
        return tuple(found)

    def _end(self, ask: Ask) -> End | None:
        """How a confirm trial ended, None while it has not."""
        record = self._seen[ask.arm][ask.trial.id]
        if record.step < ask.trial.steps:
            return None if record.is_given_up else record.end
        # A row without its collapsed seeds would flatter its method: they run to their end, and count.
        cause, reason = ailment(record.reports) or (None, "")
        return End("complete", cause, reason, record.step)


def _depth(row: Row) -> int:
    """How many rows stand behind a row, each after the next, or tuned as it."""
    return 1 + max(map(_depth, (*row.given, *([row.lender] if row.lender else []))), default=0)
