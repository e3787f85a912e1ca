"""Ctrl-C while a command imports its libraries, or Python ends them: no traceback from within them."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from platform.commands.exits import INTERRUPTED, by_signal, say


@contextmanager
def interruptible() -> Iterator[None]:
    """End the process at Ctrl-C at once, unless it is ignored; nothing has begun that could be lost."""
    heard = signal.getsignal(signal.SIGINT)
    if heard is not signal.default_int_handler:
        yield
        return
    # No exception: a library may take one for its own trouble, and go on without what it could not import.
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, heard)


def leave(code: int) -> NoReturn:
    """End the process with a command's exit code; Ctrl-C from here on ends it at once, without a word."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)


def _end(number: int, _: FrameType | None) -> NoReturn:
    say(INTERRUPTED)
    os._exit(by_signal(number))
