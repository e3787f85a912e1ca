"""The terminal of a running study: a frame drawn in place, and a log file for everything that libraries print.

The command writes to the terminal through `Screen` alone, which never raises; what Ray, MLflow and their C++ libraries
print goes to a file, and is dropped when that cannot be written.
"""

import ctypes
import io
import logging
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

COLUMNS = 80
LINES = 24
"""The size of a terminal that does not know its own."""


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
        """Write lines that stay, then the frame in place of the one before; a terminal that is gone is no error."""
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
        """To the beginning of the frame, which takes more lines once the terminal is narrower than it was."""
        taken = sum(max(1, math.ceil(cells / columns)) for cells in self._cells)
        up = min(taken, height - 1)
        return "\r" + (f"\x1b[{up}A" if up else "") + ("\x1b[J" if clear else "")

    def _styled(self, line: Text) -> str:
        with self._console.capture() as captured:
            self._console.print(line, end="", no_wrap=True, overflow="ignore", crop=False)
        return captured.get()


@contextmanager
def quiet(log: Path) -> Iterator[TextIO]:
    """Append what the process, its libraries and its children print or log to a file; yield what was standard output.

    Children inherit the file itself and not a pipe, which would end them once nobody reads it. What the file does not
    take is dropped.
    """
    with ExitStack() as undo:
        terminal = undo.enter_context(_terminal())
        for descriptor, name in ((1, "stdout"), (2, "stderr")):
            undo.enter_context(_redirected(descriptor, log))
            undo.enter_context(_replaced(name, _Unfailing(descriptor)))
        undo.enter_context(_logged())
        yield terminal


class _Unfailing(io.RawIOBase):
    """Writes to a file descriptor, and drops what it does not take: no library's print must end a study."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def write(self, content: Any, /) -> int:
        with suppress(OSError):
            os.write(self._descriptor, content)
        return memoryview(content).nbytes


@contextmanager
def _terminal() -> Iterator[TextIO]:
    try:
        stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding=sys.stdout.encoding, errors="replace")
    except (AttributeError, OSError, ValueError):
        # Closed, or no file at all: what Python has in its place is not touched by moving file descriptors.
        yield sys.stdout or io.StringIO()
        return
    try:
        yield stream
    finally:
        with suppress(OSError, ValueError):
            stream.close()


@contextmanager
def _redirected(descriptor: int, log: Path) -> Iterator[None]:
    try:
        before = os.dup(descriptor)
    except OSError:
        before = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        file = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    nothing = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    _flush()
    os.dup2(file, descriptor)
    try:
        yield
    finally:
        _flush()
        # What the log did not take and a stream still holds must not come out on the terminal.
        os.dup2(nothing, descriptor)
        _flush()
        os.dup2(before, descriptor)
        for opened in (before, file, nothing):
            os.close(opened)


def _flush() -> None:
    """Send on its way what Python and C hold back, before their file descriptors mean another file."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
    ctypes.CDLL(None).fflush(None)


@contextmanager
def _replaced(name: str, raw: io.RawIOBase) -> Iterator[None]:
    before = getattr(sys, name)
    setattr(sys, name, io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True))
    try:
        yield
    finally:
        setattr(sys, name, before)


@contextmanager
def _logged() -> Iterator[None]:
    """Messages and warnings that no library takes care of, with their times."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(handler)
