"""A study's choice of a selector: one of the shelf by its name, one of the user's own, or target labels, `oracle/`."""

import ast
import dataclasses
import difflib
import sys
from pathlib import Path
from typing import Any

from platform.records.plain import check_name, plain
from platform.records.record import ORACLE_ACCURACY, ORACLE_MIOU, SOURCE_ACCURACY
from platform.scores.selectors import SHELF
from platform.scores.selectors.example import example
from platform.scores.selectors.judgement import judged
from platform.scores.selectors.selector import Selector
from platform.shifts.definition import definition, held
from platform.shifts.definition.owners import is_users
from platform.shifts.fingerprint import fingerprint

ORACLE = (ORACLE_MIOU, ORACLE_ACCURACY)
"""Names of what selects by labels of the target's val split: an upper bound, never a fair choice."""
OWN = "own/"
"""How the names of selectors of the user's own begin."""
LONGEST = 60
"""Bytes that a selector's name may have."""
COMPUTES = ("platform.scores.", "platform.shifts.")
"""How modules are called that decide numbers, and not words."""
SELECTORS = "platform.scores.selectors"
"""The module that has all of the shelf."""
MOST_NUMBERS = 1000
"""How many numbers the code of a selector may bring along; the labels of one small image are more."""


def chosen(select: str | Selector) -> Selector | None:
    """The selector that a study's `select` means, None for `oracle/`, which is no selector's. Raises ValueError."""
    if isinstance(select, Selector):
        _check(select)
        return select
    name = plain(select)
    shelf = {selector.name: selector for selector in SHELF}
    if name in shelf:
        return shelf[name]
    if name not in ORACLE:
        known = (*shelf, *ORACLE)
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        call = f" Call it: {name.__name__}()." if isinstance(name, type) else ""
        raise ValueError(
            f"Study.select must be one of {', '.join(known)}, or a Selector of your own, got {name!r}.{hint}{call}"
        )
    return None


def name_of(select: str | Selector) -> str:
    """What tables call a study's choice."""
    return _own_name(select) if isinstance(select, Selector) else str(plain(select))


def identity_of(selector: Selector) -> str:
    """What decides a selector's scores, as text: its class, its settings, and digests of its code.

    One of the user's own may build on any of the shelf, and so has all of their code for its own as well.
    """
    kind: Any = type(selector)
    if is_users(kind.__module__):
        return f"{selector!r} {definition(kind)} {fingerprint(_files(SELECTORS))}"
    return f"{selector!r} {fingerprint(_files(kind.__module__))}"


def settings_of(identity: str) -> str:
    """The class and the settings that an identity tells of."""
    return identity.rpartition(")")[0] + ")"


def _files(module: str) -> list[Path]:
    """The file of a module of selectors, and those of all that it computes with."""
    found: dict[str, Path] = {}
    left = [module]
    while left:
        name = left.pop()
        if name in found:
            continue
        found[name] = Path(str(sys.modules[name].__file__))
        tree = ast.parse(found[name].read_text(encoding="utf-8"))
        imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        left += [each for each in imported if each.startswith(COMPUTES)]
    return list(found.values())


def of_upper_bound(select: str) -> str:
    """What picks a row that trains on target labels: the same measure by them, whatever selects the others.

    It would be no upper bound if its score on the source, or one without labels, picked it.
    """
    if select in ORACLE:
        return select
    return ORACLE_ACCURACY if select == SOURCE_ACCURACY else ORACLE_MIOU


def tried(selector: Selector) -> None:
    """Have a selector judge made-up evidence, twice, which finds most of its mistakes. Raises ValueError."""
    judged(selector, [example(0), example(1)])
    once, again = (judged(selector, [example(2)]) for _ in range(2))
    if once != again:
        raise ValueError(
            f"{type(selector).__name__} must give the same evidence the same score, got {once[0]:.6g} and then "
            f"{again[0]:.6g}; begin what is random from a seed, as np.random.default_rng(0) does"
        )


def _check(selector: Selector) -> None:
    """Raise ValueError for a selector that is not what a study can name, or that could know target labels."""
    kind: Any = type(selector)
    if not is_users(kind.__module__):
        if selector in SHELF:
            return
        raise ValueError(
            f"Study.select must be {selector.name!r} as it is, or a Selector of your own, got {selector!r}, which "
            f"tables would call so too; derive one of your own from {kind.__name__}, with a name of its own"
        )
    parameters = vars(kind).get("__dataclass_params__")
    if dataclasses.fields(selector) and (parameters is None or not parameters.frozen):
        raise ValueError(
            f"{kind.__name__} must be a frozen dataclass; write @dataclass(frozen=True, kw_only=True) above"
        )
    for field in dataclasses.fields(selector):
        value = plain(getattr(selector, field.name))
        if not isinstance(value, bool | int | float | str):
            raise ValueError(f"{kind.__name__}.{field.name} must be a number or a text, got {type(value).__name__}")
        object.__setattr__(selector, field.name, value)
    name = _own_name(selector)
    check_name(f"the name of {kind.__name__}", name, LONGEST)
    if not name.startswith(OWN):
        raise ValueError(f"{kind.__name__}.name must begin with {OWN}, got {name!r}; other names are metrics already")
    brings = held(kind)
    if brings.numbers > MOST_NUMBERS:
        raise ValueError(
            f"the code of a selector must bring along at most {MOST_NUMBERS:,} numbers, got {brings.numbers:,} in what "
            f"{kind.__name__} leads to: they could be labels; compute from the evidence"
        )
    if brings.reads_files:
        raise ValueError(
            f"a selector must compute from its evidence, got {kind.__name__}, which reads files; mend that"
        )
    if brings.reaches_for_labels:
        raise ValueError(
            f"a selector must not reach for target labels, got 'oracle' in what {kind.__name__} leads to; leave that "
            f"out, or choose select='{ORACLE_MIOU}', which every table then says"
        )


def _own_name(selector: Selector) -> str:
    return str(plain(selector.name)) or f"{OWN}{type(selector).__name__}"
