"""What rows have over each other as sections of a Markdown page."""

from platform.results.report import wording
from platform.results.report.page.text import bold, bullets, escaped, rows
from platform.results.report.sections import differences
from platform.results.table import Table


def of_rows(table: Table) -> list[str]:
    """What can be told apart, without the columns that say nothing, and how to read it."""
    lines = [differences.cells_wide(row, table, bold) for row in table.rows]
    used = differences.used(lines)
    cells = [[line[place] for place in used] for line in lines]
    names = [escaped(wording.name(row)) for row in table.rows]
    return [
        "## What can be told apart",
        rows(("arm", *(differences.HEAD_WIDE[place] for place in used)), names, cells),
        bullets(differences.reading(table)),
    ]


def by_class(table: Table) -> list[str]:
    """Differences in the IoU of each class."""
    reference = table.header.reference
    others = [row for row in table.rows if row.arm != reference]
    cells = [
        [differences.of_class(row.comparison.classes[place], bold) for row in others]
        for place in range(len(table.groups))
    ]
    head = ("class", *(escaped(wording.name(row)) for row in others))
    return [f"## Difference by class, to {escaped(reference)}", rows(head, table.groups, cells), differences.OF_CLASSES]
