"""Text broken into lines by the columns that it takes, a Chinese character two; short numbers."""

import math
from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from platform.records.plain import legible, listed

NONE = "–"  # noqa: RUF001
"""What stands in place of a number that there is not."""
LEAST = 8
"""Columns that a line has however narrow its place is."""


def broken(text: str, columns: int) -> list[str]:
    """Lines of at most `columns`, at blanks where there are any; at least one line."""
    columns = max(columns, LEAST)
    lines = Text(" ".join(text.split())).wrap(Console(width=columns), columns)
    return [line.plain.rstrip() for line in lines] or [""]


def hanging(text: str, columns: int, first: str = "", rest: str = "") -> list[str]:
    """Lines of at most `columns`, the first of them behind one beginning and those that follow behind another."""
    begun, *_ = broken(text, columns - cell_len(first))
    left = " ".join(text.split())[len(begun) :]
    return [first + begun, *(rest + line for line in broken(left, columns - cell_len(rest)) if left.strip())]


def padded(text: str, columns: int) -> str:
    """A text filled up with blanks to a width in columns."""
    return text + " " * (columns - cell_len(text))


def short(value: Any) -> str:
    """A setting's value in few characters, all of which can be shown: records may be somebody else's."""
    return f"{value:.3g}" if isinstance(value, float) else legible(str(value))


def p_value(p: float) -> str:
    """`0.031`, `< 0.001`; a dash where there is none."""
    if math.isnan(p):
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def count(value: int) -> str:
    """A count in three digits: `12.6M`."""
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if value >= size:
            return f"{value / size:.3g}{unit}" if value < 100 * size else f"{value / size:,.0f}{unit}"
    return str(value)


def arms_listed(names: Sequence[str]) -> str:
    """`a, b and 'c, twice'`: an arm whose name holds a comma is told from two."""
    return listed([f"'{name}'" if "," in name else name for name in names])
