"""Output in an encoding without some of our characters: these become plain signs of the same width, or escapes."""

import codecs
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

SUBSTITUTED = "platform.substituted"
"""The name of this handling of errors, as Python's streams take it."""
SIGNS = str.maketrans(
    {
        "Δ": "d",
        "±": "~",
        "†": "+",
        "–": "-",  # noqa: RUF001
        "─": "-",
        "━": "=",
    }
)
"""What stands for the characters that our own tables and bars are made of."""


def substituted(error: UnicodeError) -> tuple[str | bytes, int]:
    """What is written for characters that an encoding does not have: never an error, which would end a command."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end].translate(SIGNS)
    return lacking.encode("ascii", "backslashreplace").decode("ascii"), error.end


codecs.register_error(SUBSTITUTED, substituted)


def never_fail() -> None:
    """Have standard output and error be there and take every text; what is printed to a closed one goes nowhere."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The next file that is opened, a lock or a record, would get this number, and what is printed with it.
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        # A notebook's streams have no such method, and take every text.
        with suppress(AttributeError, OSError, ValueError):
            stream.reconfigure(errors=SUBSTITUTED)  # type: ignore[union-attr]


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")
