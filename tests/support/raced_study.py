"""A study with rounds whose trials report made-up scores: nothing is trained."""

import dataclasses
import zlib
from collections.abc import Mapping
from pathlib import Path
from random import Random

from platform.design.header import header as header_of
from platform.records.ledger import Ledger
from platform.records.record import TARGET_TEST, Ask, End, Record
from platform.records.store import Store
from platform.results.rounds.rounds import has_all, has_rounds, seeds_asked
from platform.results.table import Table
from platform.search.decisions import Search, Seeds
from platform.study import Study
from tests.support.invented_study import confusion
from tests.support.made_search import report, take_up
from tests.support.seen_alike import tabulate


class Book:
    """A study whose rows score as a test says, with some noise of each seed's own, on any number of machines."""

    def __init__(self, folder: Path, study: Study, qualities: Mapping[str, float], order: int = 0) -> None:
        """`order` is what decides which trial is trained next."""
        self.study, self.qualities, self.told = study, qualities, list[Seeds]()
        self.ledger = Ledger(Store(folder), "raced", list(study.arms))
        identity = study.shift.identity()
        self.header = header_of(study, "raced", "Who wins?", identity, "", "2026-01-01T00:00:00+00:00")
        self.ledger.announce(self.header)
        self.search = Search(study, self.ledger, identity, self._rounds if has_rounds(self.header) else None)
        self._next = Random(order)

    def _rounds(self) -> Seeds:
        self.told.append(seeds_asked(self.header, self.ledger.asks, self.ledger.by_arm()))
        return self.told[-1]

    def run(self, trials: int | None = None, fails: tuple[str, ...] = (), retry: bool = False) -> None:
        """Train what is left, or so many trials; confirm trials of these rows fail, or lose their workers."""
        self._failure = End("failed", "worker lost" if retry else "diverged", "as it was", 0, retry)
        while (asks := [*self.search.open()]) and trials != 0:
            self._train(self._next.choice(asks), fails)
            trials = None if trials is None else trials - 1

    def _train(self, ask: Ask, fails: tuple[str, ...]) -> None:
        take_up(self.search, ask)
        for step in ask.trial.evaluated_steps:
            if not self.search.may_go_on(ask):
                return
            if ask.arm in fails and ask.phase == "confirm":
                self.ledger.fail(ask, self._failure)
                break
            made = report(step)
            if ask.phase == "confirm":
                seed = (zlib.crc32(ask.arm.encode()), ask.trial.seed)
                scored = {TARGET_TEST: confusion(self.qualities[ask.arm], seed)}
                made = dataclasses.replace(made, confusions=scored)
            self.ledger.report(ask, made)
            self.search.advance()
        self.search.advance()

    def seeds(self) -> dict[str, int]:
        """How many seeds each row was trained on."""
        asked = {name: self.ledger.asked(name, "confirm") for name in self.study.arms}
        return {name: len([ask for ask in asks if ask.number < self.study.seeds]) for name, asks in asked.items()}

    def is_complete(self) -> bool:
        return has_all(self.header, self.ledger.asks, self.ledger.by_arm())

    def table(self) -> Table:
        records: dict[str, Record] = {ask.trial.id: self.ledger.record(ask) for ask in self.ledger.asks}
        return tabulate(self.header, self.ledger.asks, records)
