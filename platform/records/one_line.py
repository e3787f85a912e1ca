"""Errors as one line: for records, for a terminal, for MLflow."""

from typing import Literal

from platform.records.plain import legible


def one_line(error: BaseException | str, at_most: int = 300, keep: Literal["beginning", "end"] = "beginning") -> str:
    """The message of an error on one line, only one end of it if it is too long; `no message` where there is none.

    What cannot be shown, of a file name's bytes or of another program's colours, stands as an escape.
    """
    text = legible(" ".join(str(error).split()))
    if len(text) > at_most:
        text = f"{text[: at_most - 3]}..." if keep == "beginning" else f"...{text[3 - at_most :]}"
    return text or "no message"
