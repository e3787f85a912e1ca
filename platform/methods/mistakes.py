"""Errors in the code of a method, for whoever wrote it: what was raised, and at which line."""

import sysconfig
import traceback
from pathlib import Path

from platform.records.one_line import one_line

LIBRARIES = ("<", *{sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
"""How the names of files begin that are neither a method's nor ours; of code that is in no file: `<string>`."""
RUNS_METHODS = (
    *(f"platform.methods.{name}" for name in ("batch", "composition", "method", "step")),
    "platform.networks.",
    "platform.training.",
)
"""How the names of modules begin that a method is called by, or calls."""
LONGEST = 1000
"""Characters of what was raised."""


def explained(error: Exception) -> str:
    """An error on one line, with its place if that is known: `RuntimeError: sizes differ at minent.py:28`."""
    name = type(error).__name__
    return (f"{name}: {one_line(error, LONGEST)}" if str(error).strip() else name) + _raised_at(error)


def _raised_at(error: Exception) -> str:
    """` at minent.py:28`: the innermost line of a method or a shift, else of what runs them; empty without either."""
    lines: dict[bool, str] = {}
    for frame, number in traceback.walk_tb(error.__traceback__):
        file, module = frame.f_code.co_filename, frame.f_globals.get("__name__", "")
        if not file.startswith(LIBRARIES):
            lines[module.startswith(RUNS_METHODS)] = f" at {Path(file).name}:{number}"
    # A rule of ours says itself what is wrong, and its line would help nobody.
    ours = "" if type(error) is ValueError else lines.get(True, "")
    return lines.get(False, ours)
