"""Texts and values as everything takes them: terminals, tables, JSON, MLflow."""

import dataclasses
import math
import re
import struct
import unicodedata
from collections.abc import Sequence
from enum import Enum
from typing import Any

INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Characters that count as letters, marks or signs and show nothing."""
PRECISIONS = {2: "e", 4: "f"}
"""What `struct` calls numbers of half and single precision, by their bytes."""


def legible(text: str) -> str:
    """A text whose characters can all be shown: the others as Python writes them, `\\x1b`, `\\u200b`, `\\udcff`."""
    return "".join(character if _shows(character) else ascii(character)[1:-1] for character in text)


def listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def check_name(what: str, name: object, at_most: int) -> None:
    """Raise ValueError unless a name is one line of text that everything can show, of `at_most` bytes."""
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"{what} must be one line of text, got {name!r}; it stands in tables, figures and MLflow")
    if legible(name) != name:
        raise ValueError(
            f"{what} must be one line of text whose every character can be shown, got {name!r}; leave out the others"
        )
    if unicodedata.category(name[0])[0] == "M":
        raise ValueError(f"{what} must not begin with a mark that belongs on the character before, got {name!r}")
    if (size := len(name.encode())) > at_most:
        raise ValueError(f"{what} must have at most {at_most} bytes, got {size}: {name[:40]!r}...; shorten it")


def plain(value: Any) -> Any:
    """A number, truth value or text as Python's own, whichever library's it is; anything else as it is.

    One of half or single precision is the decimal that it is shown as: 0.01, and not 0.009999999776.
    """
    if isinstance(value, Enum):
        return plain(value.value)
    masked = bool(getattr(value, "mask", False))  # NumPy's value that is missing, which would be 0
    if getattr(value, "ndim", None) == 0 and callable(getattr(value, "item", None)) and not masked:
        item = value.item()
        return _shortest(item, value.dtype.itemsize) if isinstance(item, float) else item
    if isinstance(value, bool):
        return value
    return next(
        (kind(value) for kind in (int, float, str) if isinstance(value, kind) and type(value) is not kind), value
    )


def _shortest(number: float, size: int) -> float:
    """The decimal of the fewest digits that is this number in the precision of so many bytes."""
    code = PRECISIONS.get(size)
    if code is None or not math.isfinite(number):
        return number
    decimals = (float(f"{number:.{digits}g}") for digits in range(1, 18))
    return next((decimal for decimal in decimals if struct.pack(code, decimal) == struct.pack(code, number)), number)


def _shows(character: str) -> bool:
    return character.isprintable() and not INVISIBLE.match(character)


def recorded(value: Any) -> Any:
    """A value as records have it: what has fields of its own, as a network's description, by the call that makes it."""
    return repr(value) if dataclasses.is_dataclass(value) else value
