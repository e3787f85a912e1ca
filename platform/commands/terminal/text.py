"""Text that fits the columns of a terminal."""

from collections.abc import Iterable
from pathlib import Path

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from platform.records.plain import legible
from platform.records.store import Damage, in_words

ARM_COLUMNS = 24
"""Width of an arm's name."""
HANGING_COLUMNS = 12
"""Indent of the lines that go on from the one above."""


def short(name: str, columns: int = ARM_COLUMNS) -> str:
    """A name that fits its column, without its middle: what a study varies mostly stands at the end."""
    name = legible(name)
    if cell_len(name) <= columns:
        return name
    tail = name
    while cell_len(tail) > columns // 2:
        tail = tail[1:]
    return f"{set_cell_size(name, columns - 2 - cell_len(tail)).rstrip()}..{tail}"


def shown(place: Path | str) -> str:
    """A place as a user would type it: relative to the working directory where it lies below."""
    path = Path(place)
    return legible(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else place))


def damage_notes(damages: Iterable[Damage]) -> list[str]:
    """What is said of the lines of records that do not count."""
    return [f"note: {damage}; left out" for damage in in_words(damages, shown)]


def apart(left: Text, right: Text, columns: int) -> Text:
    """One line with a text at either end; the left one is cut where there is no room for both."""
    left.truncate(max(0, columns - right.cell_len - 2), overflow="ellipsis", pad=True)
    return Text.assemble(left, "  ", right)


def wrapped(beginning: str, text: str, style: str, columns: int) -> list[Text]:
    """Break a text into lines of at most `columns`; a longer word, mostly a path, stays whole so it can be copied."""
    lines = [Text(beginning)]
    for word in map(legible, text.split()):
        begun = bool(lines[-1].plain.strip())
        gap = " " if begun and not lines[-1].plain.endswith(" ") else ""
        if begun and lines[-1].cell_len + len(gap) + cell_len(word) > columns:
            lines.append(Text(" " * HANGING_COLUMNS if beginning else ""))
            gap = ""
        lines[-1].append(gap).append(word, style)
    for line in lines:
        line.rstrip()
    return lines
