"""Errors in the code of a method, for whoever wrote it: what was raised, and at which line."""

import sysconfig
import traceback
from pathlib import Path

from platform.records.one_line import one_line

LIBRARIES = ("<", *{sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
"""How the names of files begin that are neither a method's nor ours; of code that is in no file: `<string>`."""
RUNS_METHODS = (
    *(f"platform.methods.{name}" for name in ("batch", "composition", "method", "step")),
    "platform.design.",
    "platform.networks.",
    "platform.shifts.",
    "platform.training.",
)
"""How the names of modules begin that a method, a network or a data set is called by, or calls."""
LONGEST = 1000
"""Characters of what was raised."""


def explained(error: BaseException) -> str:
    """An error on one line, with its place if that is known: `RuntimeError: sizes differ at minent.py:28`."""
    name = type(error).__name__
    return (f"{name}: {one_line(error, LONGEST)}" if str(error).strip() else name) + _raised_at(error)


def _raised_at(error: BaseException) -> str:
    """` at minent.py:28`: the innermost line of a method, a network or a shift; empty without one."""
    places = [
        f" at {Path(frame.f_code.co_filename).name}:{number}"
        for frame, number in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith(LIBRARIES)
        and not frame.f_globals.get("__name__", "").startswith(RUNS_METHODS)
    ]
    return places[-1] if places else ""
