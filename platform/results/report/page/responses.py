"""What the search says of each field as a section of a Markdown page."""

from platform.results.report import wording
from platform.results.report.page.text import bullets, escaped, inline, rows
from platform.results.report.sections import responses
from platform.results.table import Table


def of_fields(table: Table) -> list[str]:
    """Importances and responses; nothing where no field was searched."""
    if not table.searched:
        return []
    names = [escaped(wording.marked(field.arm, field.supervised)) for field in table.searched]
    cells = [[inline(cell) for cell in responses.cells(field)] for field in table.searched]
    return [
        "## What the search says of each field",
        rows(("arm", *responses.HEAD), names, cells, texts=2),
        bullets(responses.reading(table)),
    ]
