"""What a search sees of the records: nothing that was computed with target labels."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from platform.records.ledger import Ledger
from platform.records.record import Record, Report

LABELLED = "oracle/"
"""How the names of metrics begin that are computed with target labels."""


class BlindRecords(Mapping[str, Record]):
    """The records of a ledger for an arm, by trial id: reports without confusions and metrics of target labels.

    The one that selects the arm's trials is left to it, as that of an upper bound.
    """

    def __init__(self, ledger: Ledger, arm: str, select: str) -> None:
        self._ledger, self._arm, self._select = ledger, arm, select
        self._made: dict[str, tuple[Record, Record]] = {}
        """By trial id: a record, and what is seen of it."""

    def __getitem__(self, trial: str) -> Record:
        record = self._ledger.records[trial]
        made = self._made.get(trial)
        if made is None or made[0] is not record:
            reports = tuple(
                _without_labels(report, self._select) for report in self._ledger.scored(record, self._arm).reports
            )
            made = self._made[trial] = record, replace(record, reports=reports)
        return made[1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ledger.records)

    def __len__(self) -> int:
        return len(self._ledger.records)


def _without_labels(report: Report, kept: str) -> Report:
    metrics = {name: value for name, value in report.metrics.items() if name == kept or not name.startswith(LABELLED)}
    return replace(report, metrics=metrics, confusions={})
