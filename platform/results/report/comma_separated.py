"""The table as CSV."""

import csv
import dataclasses
import io
import math
import unicodedata
from typing import Any

from platform.results.notes import counted
from platform.results.table import Row, Table

FORMULA = "=+-@'"
"""Signs that a formula begins with, and the one by which a spreadsheet's cell is text."""


def render(table: Table) -> str:
    """One line per row: its fields, those of a group as `<group>/<field>`, then `iou/<class>`; empty for what is nan.

    Causes are counted as in `3 diverged, 1 data`; reasons are joined by '; '. A text that a spreadsheet would take for
    a formula, as an arm named `+ entropy`, has an apostrophe before it, and so has one that begins with an apostrophe:
    `text.removeprefix("'")` is the text again. `records.parquet` has every name as it is.
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


def _text(text: str) -> str:
    # Spreadsheets pass over blanks, and take a formula's signs in full width as well.
    first = unicodedata.normalize("NFKC", text.lstrip())[:1]
    return f"'{text}" if first and first in FORMULA else text


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return counted(value)
    if isinstance(value, tuple):
        return _text("; ".join(map(str, value)))
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else value
