"""Texts and values as everything takes them: terminals, tables, JSON, MLflow."""

import struct
import unicodedata
from typing import Any

FILLERS = "\u115f\u1160\u2800\u3164\uffa0"
"""Characters that count as letters or signs and show nothing."""
SINGLE = 4
"""Bytes of a number in single precision."""


def legible(text: str) -> str:
    """A text whose characters can all be shown: the others as Python writes them, `\\x1b`, `\\u200b`, `\\udcff`."""
    return "".join(character if _shows(character) else ascii(character)[1:-1] for character in text)


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

    One of single precision is the decimal that it is shown as, 0.01, and not the 0.009999999776 that it is rounded to.
    """
    if getattr(value, "ndim", None) == 0 and callable(getattr(value, "item", None)):
        item = value.item()
        return _shortest(item) if isinstance(item, float) and value.dtype.itemsize <= SINGLE else item
    if isinstance(value, bool):
        return value
    return next(
        (kind(value) for kind in (int, float, str) if isinstance(value, kind) and type(value) is not kind), value
    )


def _shortest(number: float) -> float:
    """The decimal of the fewest digits that is this number in single precision."""
    decimals = (float(f"{number:.{digits}g}") for digits in range(1, 18))
    return next(decimal for decimal in decimals if struct.pack("f", decimal) == struct.pack("f", number))


def _shows(character: str) -> bool:
    return character.isprintable() and character not in FILLERS
