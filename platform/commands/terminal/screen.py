"""A terminal that a frame is drawn on, in place, beneath the lines that stay."""

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

from rich.console import Console
from rich.text import Text

COLUMNS = 80
LINES = 24
"""The size of a terminal that does not know its own; text is never wider, on any terminal."""


class Screen:
    """Lines that stay, and beneath them, on a terminal, a frame that each draw replaces.

    Departs from rich.live: the cursor is never hidden, which a killed process could not undo; the frame ends in a
    newline, so that whatever writes next begins a line; a narrower terminal that broke its lines is drawn over whole.
    """

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self._console = Console(file=out, highlight=False, markup=False, emoji=False)
        self._cells: list[int] = []
        """The widths of the lines of the frame that stands on the terminal."""

    @property
    def live(self) -> bool:
        """Whether a frame can be drawn: the output is a terminal that can move its cursor."""
        with suppress(OSError, ValueError):
            return self.out.isatty() and os.environ.get("TERM", "dumb") not in {"dumb", "unknown"}
        return False

    def shows(self, characters: str) -> bool:
        """Whether the output's encoding has these characters."""
        try:
            characters.encode(self.out.encoding or "utf-8")
        except UnicodeEncodeError:
            return False
        return True

    def size(self) -> tuple[int, int]:
        """Columns and lines of the terminal as it is now."""
        with suppress(OSError, ValueError):
            columns, lines = os.get_terminal_size(self.out.fileno())
            return columns or COLUMNS, lines or LINES
        return COLUMNS, LINES

    def draw(self, lines: Sequence[Text], frame: Sequence[Text]) -> None:
        """Write lines that stay, then the frame in place of the last one; ignore a terminal that is gone."""
        if self.live:
            columns, height = self.size()
            content = self._over(columns, height, clear=bool(lines))
            # Cleared before it is written: past the last column, clearing to the end takes the last character too.
            content += "".join(f"\x1b[K{self._styled(line)}\n" for line in [*lines, *frame]) + "\x1b[J"
            self._cells = [line.cell_len for line in frame]
        else:
            content = "".join(f"{line.plain}\n" for line in lines)
        with suppress(OSError, ValueError):
            self.out.write(content)
            self.out.flush()

    def _over(self, columns: int, height: int, *, clear: bool) -> str:
        """Codes that move the cursor to the frame's first line; a terminal that became narrower broke its lines."""
        taken = sum(max(1, math.ceil(cells / columns)) for cells in self._cells)
        up = min(taken, height - 1)
        return "\r" + (f"\x1b[{up}A" if up else "") + ("\x1b[J" if clear else "")

    def _styled(self, line: Text) -> str:
        with self._console.capture() as captured:
            self._console.print(line, end="", no_wrap=True, overflow="ignore", crop=False)
        return captured.get()
