"""Results as they come from a cluster, and this machine's own."""

from pathlib import Path

from platform.commands.remote.fetching import take_over
from platform.records.record import Ask
from platform.records.store import Store
from tests.support.invented_study import ask, begun, record, study


class Fetched:
    """Results as they come from a cluster, of a study with two trials, and this machine's own."""

    def __init__(self, folder: Path) -> None:
        self.theirs, self.mine = Store(folder / "theirs"), Store(folder / "mine")
        header = study()
        self.asks = [ask(header, "source only", "confirm", number) for number in (0, 1)]
        self.theirs.announce(header)
        for asked in self.asks:
            self.theirs.ask(header.name, asked)
            self.write(self.theirs, asked, reports=3)
        self.theirs.begin(begun(ask(header, "source only", "confirm", 2)))
        (self.theirs.study_folder(header.name) / "table.md").write_text("a table")
        for name in ("running", "stop", "stop-5e1f"):
            (self.theirs.study_folder(header.name) / name).write_text("of the head")

    @staticmethod
    def write(store: Store, asked: Ask, reports: int) -> None:
        made = record(asked, reports=reports)
        store.begin(made)
        for report in made.reports:
            store.report(asked.trial.id, report)

    def take_over(self) -> int:
        return take_over(self.theirs, self.mine, "invented")

    def reports(self) -> list[int]:
        records = [self.mine.read(asked.trial.id) for asked in self.asks]
        return [len(record.reports) for record in records if record is not None]
