"""Text that fits the columns of a terminal."""

from rich.cells import cell_len, set_cell_size
from rich.text import Text

ARM_COLUMNS = 24
HANGING_COLUMNS = 12


def clean(text: str) -> str:
    """Without what could move a terminal's cursor."""
    return "".join(character if character.isprintable() else " " for character in text)


def short(name: str, columns: int = ARM_COLUMNS) -> str:
    """A name that fits its column; the end tells apart what a study varies, so the middle goes."""
    name = clean(name)
    if cell_len(name) <= columns:
        return name
    tail = name
    while cell_len(tail) > columns // 2:
        tail = tail[1:]
    return f"{set_cell_size(name, columns - 2 - cell_len(tail)).rstrip()}..{tail}"


def apart(left: Text, right: Text, columns: int) -> Text:
    left.truncate(max(0, columns - right.cell_len - 2), overflow="ellipsis", pad=True)
    return Text.assemble(left, "  ", right)


def wrapped(beginning: str, text: str, style: str, columns: int) -> list[Text]:
    """Lines of at most so many columns; a word that is longer, mostly a path, stays in one piece to be copied."""
    lines = [Text(beginning)]
    for word in clean(text).split():
        begun = bool(lines[-1].plain.strip())
        gap = " " if begun and not lines[-1].plain.endswith(" ") else ""
        if begun and lines[-1].cell_len + len(gap) + cell_len(word) > columns:
            lines.append(Text(" " * HANGING_COLUMNS if beginning else ""))
            gap = ""
        lines[-1].append(gap).append(word, style)
    for line in lines:
        line.rstrip()
    return lines
