"""Names in a method's class that are misspelt, and would do nothing without a word."""

import difflib
from collections.abc import Iterator
from types import CodeType
from typing import Any

from platform.methods.method import Method
from platform.networks.hyperparameters import field_names
from platform.shifts.definition.sources import names_taken

ALIKE = 0.75
"""How alike two names are, from 0 to 1, of which one may be the other misspelt."""


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
                f"{base.__name__}.{name} must be used by the method, or have another name: nothing takes it. Did you "
                f"mean {near[0]!r}?"
            )


def _names_in(value: Any) -> Iterator[str]:
    """The names that the code of a class's attribute takes: a function, a property, or one that is wrapped."""
    wrapped = [getattr(value, name, None) for name in ("fget", "func", "__func__", "__wrapped__")]
    for function in (value, *wrapped):
        if isinstance(code := getattr(function, "__code__", None), CodeType):
            yield from names_taken(code)
