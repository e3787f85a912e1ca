"""What the search says of each field as a section of a Markdown page."""

from collections.abc import Sequence

from platform.results.report import wording
from platform.results.report.page.text import bullets, escaped, inline, rows
from platform.results.report.sections import responses
from platform.results.responses.fields import SearchedField


def of_fields(fields: Sequence[SearchedField], rungs: Sequence[int]) -> list[str]:
    """Importances and responses, of searches with these rungs; nothing where no field was searched."""
    if not fields:
        return []
    names = [escaped(wording.marked(field.arm, field.supervised)) for field in fields]
    cells = [[inline(cell) for cell in responses.cells(field)] for field in fields]
    return [
        "## What the search says of each field",
        rows(("arm", *responses.HEAD), names, cells, texts=2),
        bullets(responses.reading(fields, rungs)),
    ]
