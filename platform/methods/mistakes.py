"""Mistakes in the code of a method, for whoever wrote it: what was raised, and where; what is misspelt."""

import difflib
import functools
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

from platform.methods.method import Method
from platform.networks.hyperparameters import field_names
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
ALIKE = 0.75
"""How alike two names are, from 0 to 1, of which one may be the other misspelt."""


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


def check_spelling(method: type[Method]) -> None:
    """Raise ValueError for a name of the class that nothing takes, and that is nearly one which the platform takes.

    `loses` would add no loss, and `deploy` would deploy the network, without a word.
    """
    bases = method.__mro__[: method.__mro__.index(Method)]
    taken = {name for base in bases for value in vars(base).values() for name in _names_in(value)}
    passed_over = [
        (base, name)
        for base in bases
        for name in vars(base)
        if not (name.startswith("_") or name in taken or name in field_names(method) or hasattr(Method, name))
    ]
    for base, name in passed_over:
        offered = [name for name in vars(Method) if not name.startswith("_") and name not in vars(base)]
        if near := difflib.get_close_matches(name, offered, n=1, cutoff=ALIKE):
            raise ValueError(
                f"{base.__name__}.{name} must be called by the method, or be called otherwise: nothing takes it. Did "
                f"you mean {near[0]!r}?"
            )


def _names_in(value: Any) -> Iterator[str]:
    """The names that the code of a class's attribute takes: a function, a property, or one that is wrapped."""
    wrapped = [getattr(value, name, None) for name in ("fget", "func", "__func__", "__wrapped__")]
    for function in (value, *wrapped):
        if isinstance(code := getattr(function, "__code__", None), CodeType):
            yield from _names_in_code(code)


@functools.cache
def _names_in_code(code: CodeType) -> frozenset[str]:
    inner = (_names_in_code(part) for part in code.co_consts if isinstance(part, CodeType))
    return frozenset(code.co_names).union(*inner)
