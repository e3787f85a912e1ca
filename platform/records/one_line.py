"""Errors as one line: for records, for a terminal, for MLflow."""

import re
from typing import Literal

from platform.records.plain import legible

LOGIN = re.compile(r"(?<=//)[^\s/@:'\"]{0,4096}+(?::[^\s@]{0,4096}+)?@(?:[^\s@/]{0,4096}+@)*+")
"""A user's name and password, or a token in their place, as an address in somebody's message has them.

Bounded and without a way back, since messages may be long."""
KEY = re.compile(
    r"(?<=[?&])([\w.-]{0,64}(?:token|key|secret|passw|pwd|signature|credential|connect)[\w.-]{0,64}=)[^\s&#'\"]+", re.I
)
"""A parameter of an address that is somebody's secret by its name."""
SCHEME = re.compile(r"([A-Za-z][\w+.-]*:)?/{1,3}|[A-Za-z][\w+.-]*//")
"""How an address begins, also where it lacks a sign."""
PLACE = re.compile(r"[\w.-]+(:\d{1,5})?(/[^?#&=;@\s]*)?|\[[0-9a-fA-F:.]+\](:\d{1,5})?(/[^?#&=;@\s]*)?")
"""A host, its port and a path, and nothing that may be a password."""


def without_credentials(address: str) -> str:
    """An address as it may be shown, however it is misspelt: its scheme, its host and its path, or less.

    What stands before a sign @ is somebody's name and password, what stands behind ? or # may be a token, and what is
    neither a port nor a path may be a password that lacks its sign.
    """
    scheme = found[0] if (found := SCHEME.match(address)) else ""
    _, sign, place = address.removeprefix(scheme).rpartition("@")
    place, mark = re.split(r"[?#]", place, maxsplit=1)[0], "?***" if re.search(r"[?#]", place) else ""
    shown = place if not place or PLACE.fullmatch(place) else "***"
    return f"{scheme}{'***@' if sign else ''}{shown}{mark}"


def one_line(error: BaseException | str, at_most: int = 300, keep: Literal["beginning", "end"] = "beginning") -> str:
    """The message of an error on one line, only one end of it if it is too long; `no message` where there is none.

    Passwords in addresses are left out. What cannot be shown, of a file name's bytes or of another program's colours,
    stands as an escape.
    """
    text = KEY.sub(r"\1***", LOGIN.sub("***@", legible(" ".join(str(error).split()))))
    if len(text) > at_most:
        text = f"{text[: at_most - 3]}..." if keep == "beginning" else f"...{text[3 - at_most :]}"
    return text or "no message"
