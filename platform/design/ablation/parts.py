"""Parts: what an arm has that may be taken away from it, and the arm without some of them."""

import itertools
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

from platform.design.arm import Arm
from platform.methods.method import Method
from platform.networks.hyperparameters import field_names
from platform.records.plain import check_name, plain

Change = Mapping[Any, Any]
"""What an arm is without a part: values of its fields, and by a method's class the one in its place, None for none."""
LONGEST_PART = 60
"""Bytes of a part's name: rows are named by several."""


def checked(arm: Arm, parts: Mapping[str, Any]) -> dict[str, Change]:
    """The parts, each as a mapping, a class alone as a method that is taken away.

    Raises ValueError for what the arm does not have, and for what changes nothing.
    """
    if not isinstance(parts, Mapping) or not parts:
        raise ValueError(
            f"an ablation's parts must map at least one name to what the arm is without it, got {parts!r}; write "
            '{"flips": {"augmentation": "none"}}, or {"adversary": Adversarial} for a method'
        )
    taken: dict[str, Change] = {
        plain(name): {change: None} if isinstance(change, type) else change for name, change in parts.items()
    }
    for name, change in taken.items():
        check_name("the name of a part", name, LONGEST_PART)
        if not isinstance(change, Mapping) or not change:
            raise ValueError(
                f"part {name!r} must say what the arm is without it, got {change!r}; write the values that its fields "
                'then have, as {"augmentation": "none"}'
            )
        for key in change:
            _check_key(arm, name, key)
    _check_apart(taken)
    whole = settings(arm)
    for name in taken:
        try:
            found = settings(without(arm, taken, [name]))
        except ValueError as error:
            raise ValueError(f"part {name!r}: {error}") from error
        if found == whole:
            raise ValueError(
                f"part {name!r} changes nothing: {arm.name} is the same without it; give it values that the arm does "
                "not have, or leave it out"
            )
    return taken


def without(arm: Arm, parts: Mapping[str, Change], absent: Collection[str]) -> Arm:
    """The arm without some of its parts; fields of methods that are gone go with them. Raises ValueError."""
    changes = {key: value for name in parts if name in absent for key, value in parts[name].items()}
    stands = [changes.get(method, method) for method in arm.methods]
    methods = tuple(method for method in stands if method is not None)
    known = {field for owner in (*methods, arm.kind) for field in field_names(owner)}
    gone = {field for method in arm.methods for field in field_names(method)} - known
    values = dict(arm.fields) | {key: value for key, value in changes.items() if isinstance(key, str)}
    kept = {field: value for field, value in values.items() if field not in gone}
    if not methods:
        last = arm.methods[-1].__name__
        raise ValueError(
            f"an arm must have a method, and none is left of {arm.name}; write {{{last}: SourceOnly}} for what trains "
            "on the source alone"
        )
    return arm.again(methods, kept)


def settings(arm: Arm) -> tuple[tuple[type[Method], ...], dict[str, Any]]:
    """What tells an arm from others of the same study: its methods, and its fields, those of methods at any value."""
    defaults = {entry.name: entry.default for method in arm.methods for entry in fields(method)}
    return arm.methods, defaults | dict(arm.fields)


def _check_key(arm: Arm, name: str, key: object) -> None:
    if isinstance(key, str):
        return  # what fields there are, the arm says that is made
    if key not in arm.methods:
        got = key.__name__ if isinstance(key, type) else repr(key)
        raise ValueError(
            f"part {name!r} must change fields, by their names, or methods of the arm, which has {arm.name}, got {got}"
        )


def _check_apart(parts: Mapping[str, Change]) -> None:
    """Raise ValueError where two parts change the same."""
    for (one, first), (other, second) in itertools.combinations(parts.items(), 2):
        for key in first:
            if key in second:
                what = key if isinstance(key, str) else key.__name__
                raise ValueError(f"parts {one!r} and {other!r} both change {what}; join them into one part")
