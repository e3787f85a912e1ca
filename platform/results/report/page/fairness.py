"""What each row was given and took, and what the study took, as sections of a Markdown page."""

from platform.results.fairness.energy import energies
from platform.results.fairness.hours import spent
from platform.results.report import wording
from platform.results.report.page.text import escaped, rows
from platform.results.report.sections import fairness
from platform.results.table import Table


def of_rows(table: Table) -> list[str]:
    """The ledger of fairness."""
    names = [escaped(wording.name(row)) for row in table.rows]
    trials = [fairness.trials(row.fairness) for row in table.rows]
    labels = [fairness.labels(row.fairness, row.arm == table.header.reference) for row in table.rows]
    labels = [(*map(escaped, cells[:3]), *cells[3:]) for cells in labels]  # the others are numbers
    return [
        "## What each row was given and took",
        rows(fairness.TRIALS, names, trials),
        rows(fairness.LABELS, names, labels, texts=4),
        fairness.READING,
    ]


def compute(table: Table) -> list[str]:
    """The study's hours and energy."""
    runs = [run for each in table.runs.values() for run in (*each.all, *each.starts)]
    used = energies(runs)
    lines = fairness.compute(spent(table.header, runs), used)
    return [
        "## Compute and energy",
        rows(fairness.COMPUTE, [line[0] for line in lines], [line[1:] for line in lines]),
        *filter(None, [fairness.coverage(used)]),
        fairness.METERS,
    ]
