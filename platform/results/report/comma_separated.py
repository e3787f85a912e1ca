"""The table as CSV."""

import csv
import dataclasses
import io
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from platform.results.ablation.effects import Ablation
from platform.results.notes import counted
from platform.results.table import Row, Table

FORMULA = "=+-@'"
"""Signs that a formula begins with, and the one by which a spreadsheet's cell is text."""


def render(table: Table) -> str:
    """One line per row: its fields, those of a group as `<group>/<field>`, then `iou/<class>` and
    `iou difference/<class>`; empty for what is nan.

    `miou_over/16` and `miou_over/16_ci` are the mean over 16 of Cityscapes' classes and its half-width.

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


def render_effects(ablations: Sequence[Ablation]) -> str:
    """One line per effect: parts joined by ` x `, aliases by blanks, mIoU as a fraction; empty for what is nan."""
    buffer = io.StringIO()
    lines = [
        {
            "ablation": ablation.name,
            "design": ablation.design,
            "retuned": ablation.retuned,
            "effect": effect.contrast.name,
            "aliases": " ".join(effect.contrast.aliases),
            "seeds": effect.worth.seeds,
            "miou": effect.worth.miou,
            "miou_ci": effect.worth.miou_ci,
            "p": effect.worth.p,
        }
        for ablation in ablations
        for effect in ablation.effects
    ]
    writer = csv.DictWriter(buffer, lines[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in line.items()} for line in lines)
    return buffer.getvalue()


def _line(row: Row, groups: tuple[str, ...]) -> dict[str, Any]:
    line = {_named(path): _cell(value) for path, value in _leaves(row)}
    del line["scores/iou"], line["scores/miou_over"], line["comparison/classes"]
    for number, (mean, half_width) in row.scores.miou_over.items():
        line |= {f"miou_over/{number}": _cell(mean), f"miou_over/{number}_ci": _cell(half_width)}
    by_class = zip(groups, row.scores.iou, row.comparison.classes, strict=True)
    for group, iou, difference in by_class:
        line |= {f"iou/{group}": _cell(iou), f"iou difference/{group}": _cell(difference.miou)}
    return line


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Values by their path: `scores/miou`."""
    if not dataclasses.is_dataclass(value):
        yield name, value
        return
    for part, each in vars(value).items():
        yield from _leaves(each, f"{name}/{part}" if name else part)


def _named(path: str) -> str:
    """A column, by the path of its value: hours by what they went to as `fairness/search_gpu_hours`."""
    return re.sub(r"^fairness/hours/(\w+)/(\w+)$", r"fairness/\1_\2_hours", path)


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
