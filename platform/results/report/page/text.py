"""Text, lists and tables as Markdown."""

import re
from collections.abc import Sequence

from platform.records.plain import legible


def bullets(lines: Sequence[str]) -> str:
    """A list, each line as it is."""
    return "\n".join(f"- {escaped(line)}" for line in lines)


def rows(head: Sequence[str], names: Sequence[str], cells: Sequence[Sequence[str]], texts: int = 1) -> str:
    """A Markdown table: names, then cells, all Markdown already; the first `texts` columns are aligned to the left."""
    lines = [
        head,
        [":--"] * texts + ["--:"] * (len(head) - texts),
        *([name, *line] for name, line in zip(names, cells, strict=True)),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def escaped(text: str) -> str:
    """Text that a page shows as it is, in a table and at the beginning of a line: no list, no entity, no HTML."""
    return re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", inline(text))


def inline(text: str) -> str:
    """The same for text that begins no line."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$&])", r"\\\1", legible(" ".join(text.split())))


def bold(text: str) -> str:
    """Markdown in bold."""
    return f"**{text}**"
