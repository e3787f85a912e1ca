"""Tables and runs of records by trial id, which all arms see alike: as made-up studies have them."""

from collections.abc import Mapping, Sequence

from platform.records.record import Ask, Record, StudyHeader
from platform.results import aggregation, runs
from platform.results.runs import ArmRuns
from platform.results.table import Table


def by_arm(asks: Sequence[Ask], records: Mapping[str, Record]) -> dict[str, Mapping[str, Record]]:
    """The records, for each arm that asks."""
    return {ask.arm: records for ask in asks}


def tabulate(header: StudyHeader, asks: Sequence[Ask], records: Mapping[str, Record]) -> Table:
    """A study's table."""
    return aggregation.tabulate(header, asks, by_arm(asks, records))


def runs_by_arm(header: StudyHeader, asks: Sequence[Ask], records: Mapping[str, Record]) -> dict[str, ArmRuns]:
    """The runs that count."""
    return runs.runs_by_arm(header, asks, by_arm(asks, records))
