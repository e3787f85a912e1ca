"""The log file that takes what Ray, MLflow and their C++ libraries print while a study runs."""

import ctypes
import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from platform.commands.exits import LONGEST, say
from platform.commands.terminal.encoding import SUBSTITUTED
from platform.records.one_line import one_line
from platform.records.storage.files import plainly


@contextmanager
def told(name: str) -> Iterator[None]:
    """Say what the loggers of that name tell: how far data are read, and what is left out."""
    handler, logger = _Saying(), logging.getLogger(name)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


class _Saying(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        line = one_line(record.getMessage(), LONGEST)
        say(f"note: {line}" if record.levelno >= logging.WARNING else line)


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
    """A stream to what standard output is now, whatever its file descriptor means later."""
    try:
        stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding=sys.stdout.encoding, errors=SUBSTITUTED)
    except (AttributeError, OSError, ValueError):
        # Closed, or not a file: whatever Python has in its place does not depend on file descriptors.
        yield sys.stdout or io.StringIO()
        return
    try:
        yield stream
    finally:
        with suppress(OSError, ValueError):
            stream.close()


@contextmanager
def _redirected(descriptor: int, log: Path) -> Iterator[None]:
    """Have a file descriptor mean the log, and in the end what it meant before."""
    before, file, nothing = _duplicate(descriptor), _opened(log), _nothing()
    _flush()
    os.dup2(file, descriptor)
    try:
        yield
    finally:
        _flush()
        # A stream still holds what the log did not take, which must not come out on the terminal.
        os.dup2(nothing, descriptor)
        _flush()
        os.dup2(before, descriptor)
        for opened in (before, file, nothing):
            os.close(opened)


def _nothing() -> int:
    """A file descriptor that takes everything and keeps nothing."""
    return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)


def _duplicate(descriptor: int) -> int:
    """Another file descriptor for the same file; of one that is closed, one for nothing."""
    try:
        return os.dup(descriptor)
    except OSError:
        return _nothing()


def _opened(log: Path) -> int:
    """A file descriptor that appends to the log; where that cannot be opened, one for nothing."""
    try:
        return plainly(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    except OSError:
        return _nothing()


def _flush() -> None:
    """Write what Python and C hold back, before their file descriptors mean another file."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
    ctypes.CDLL(None).fflush(None)


@contextmanager
def _replaced(name: str, raw: io.RawIOBase) -> Iterator[None]:
    """Have one of Python's standard streams write to another file."""
    before = getattr(sys, name)
    setattr(sys, name, io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True))
    try:
        yield
    finally:
        setattr(sys, name, before)


@contextmanager
def _logged() -> Iterator[None]:
    """Write the messages and warnings that no library handles itself, with their times."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(handler)
