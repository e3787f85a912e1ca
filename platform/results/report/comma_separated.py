"""The table as CSV."""

import csv
import dataclasses
import io
import math
from typing import Any

from platform.results.notes import counted
from platform.results.table import Row, Table


def render(table: Table) -> str:
    """One line per row: its fields, those of a group as `<group>/<field>`, then `iou/<class>`; empty for what is nan.

    Causes are counted as in `3 diverged, 1 data`; reasons are joined by '; '.
    """
    buffer = io.StringIO()
    lines = [_line(row, table.groups) for row in table.rows]
    writer = csv.DictWriter(buffer, lines[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return buffer.getvalue()


def _line(row: Row, groups: tuple[str, ...]) -> dict[str, Any]:
    line: dict[str, Any] = {}
    for name, value in vars(row).items():
        parts = vars(value).items() if dataclasses.is_dataclass(value) else ()
        line |= {f"{name}/{part}": _cell(each) for part, each in parts} or {name: _cell(value)}
    del line["scores/iou"]
    return line | {f"iou/{group}": _cell(iou) for group, iou in zip(groups, row.scores.iou, strict=True)}


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return counted(value)
    if isinstance(value, tuple):
        return "; ".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else value
