"""The table as CSV."""

import csv
import dataclasses
import io
import math
from typing import Any

from platform.results.notes import counted
from platform.results.table import Row, Table


def render(table: Table) -> str:
    """The fields of every row, then `iou/<class>`; what does not exist is empty.

    Causes are counted as in `3 diverged, 1 data`; reasons are joined by '; '.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    names = [field.name for field in dataclasses.fields(Row) if field.name != "iou"]
    writer.writerow([*names, *(f"iou/{name}" for name in table.groups)])
    for row in table.rows:
        writer.writerow(_cell(value) for value in (*(getattr(row, name) for name in names), *row.iou))
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return counted(value)
    if isinstance(value, tuple):
        return "; ".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else value
