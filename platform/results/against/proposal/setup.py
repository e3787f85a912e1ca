"""What a study file would have to say for a trial that is on record."""

import ast
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from platform import methods, networks
from platform.methods.method import Method
from platform.networks.hyperparameters import field_names, field_values, rule_of
from platform.networks.network import Architecture
from platform.records.plain import recorded
from platform.records.trial import Trial
from platform.results.lines import short
from platform.shifts import Shift, gta5_to_cityscapes, town
from platform.shifts.labels import NUM_CLASSES, SINGLE_CLASSES, group_names
from platform.training.recipe import Recipe


class Unsayable(ValueError):
    """A study file of this version cannot say what a record says; the message says what."""


@dataclass(frozen=True)
class Call:
    """A call of a function that study files import, with plain values and calls for its arguments."""

    function: str
    arguments: tuple[Any, ...] = ()
    named: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Setup:
    """A trial without its seed, in a study file's words."""

    methods: tuple[type[Method], ...]
    hyperparameters: Mapping[str, Any]
    """Every field of the methods."""
    recipe: Mapping[str, Any]
    """Every field of the recipe; the network is an `Architecture`."""
    shift: Mapping[str, Any]
    """The arguments of the shift's function, beside its `name`."""
    steps: int
    evaluations: int
    threads: int


def setup(trial: Trial, own: Collection[str]) -> Setup:
    """What a study file says for a trial; `own` are names of classes that the study file defines itself.

    Raises Unsayable.
    """
    classes = tuple(_method(name, own) for name in trial.method.split(" + "))
    return Setup(
        methods=classes,
        hyperparameters=_fields(trial.method, classes, trial.hyperparameters),
        recipe=_recipe(trial.recipe, own),
        shift=_shift(trial.shift),
        steps=trial.steps,
        evaluations=trial.evaluations,
        threads=trial.threads,
    )


def shift_of(values: Mapping[str, Any]) -> tuple[Shift, Call]:
    """A setup's shift, and the call that makes it."""
    scored = values["groups"]
    named = {name: value for name, value in values.items() if name not in ("name", "groups")}
    if values["name"] == "town":
        default, made = town(), town(**named)
        call = tuple((name, value) for name, value in named.items() if value != getattr(default, name))
        return made, Call("town", (), call)
    chosen = {} if scored == SINGLE_CLASSES else {"groups": Call("groups", group_names(scored))}
    few = {} if not named["few"] else {"few": named["few"]}
    call = (("size", named["size"]), *chosen.items(), *few.items())
    return gta5_to_cityscapes(groups=scored, **named), Call("gta5_to_cityscapes", (), call)


def _method(name: str, own: Collection[str]) -> type[Method]:
    found = vars(methods).get(name) if name in methods.__all__ and name not in own else None
    if not (isinstance(found, type) and issubclass(found, Method)) or found is Method:
        raise Unsayable(f"the method {short(name)} is none of platform.methods")
    return found


def _fields(what: str, classes: tuple[type, ...], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all fields of classes, as this version has them."""
    owners = {name: owner for owner in classes for name in field_names(owner)}
    if odd := [*(owners.keys() ^ values.keys())]:
        raise Unsayable(f"the records of {short(what)} and this version's do not have the same fields: {short(odd[0])}")
    for name, value in values.items():
        if not isinstance(value, bool | int | float | str):
            raise Unsayable(f"{name} is neither a number nor a text: {short(value)}")
        if isinstance(value, str) and not rule_of(owners[name], name).choices:
            raise Unsayable(f"{name} is a text of the records', which may name a file: {short(value)}")
    return dict(values)


def _recipe(values: Mapping[str, Any], own: Collection[str]) -> dict[str, Any]:
    plain = {name: value for name, value in values.items() if name != "network"}
    if odd := [*({*field_names(Recipe)} ^ values.keys())]:
        raise Unsayable(f"recipes of the records and of this version do not have the same fields: {short(odd[0])}")
    made: dict[str, Any] = {"network": _network(values["network"], own)}
    for name, value in plain.items():
        if not isinstance(value, bool | int | float | str):
            raise Unsayable(f"{name} is neither a number nor a text: {short(value)}")
        made[name] = value
    try:
        recipe = Recipe(**made)
    except ValueError as error:
        raise Unsayable(str(error)) from error
    if {name: recorded(value) for name, value in field_values(recipe).items()} != dict(values):
        raise Unsayable("the recipe of the records is none that this version has")
    return field_values(recipe)


def _network(text: Any, own: Collection[str]) -> Architecture:
    """The network of a description, of which nothing is executed: its class is looked up, its values are read."""
    refused = Unsayable(f"the network {short(text)} is none of platform.networks")
    try:
        call = ast.parse(str(text), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise refused from None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
        raise refused
    name = call.func.id
    found = vars(networks).get(name) if name in networks.__all__ and name not in own else None
    if not (isinstance(found, type) and issubclass(found, Architecture)) or found is Architecture:
        raise refused
    values = {each.arg: each.value.value for each in call.keywords if each.arg and isinstance(each.value, ast.Constant)}
    if len(values) < len(call.keywords):
        raise refused
    try:
        made = found(**values)
    except (TypeError, ValueError):
        raise refused from None
    if repr(made) != text:
        raise refused
    return made


def _shift(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by which a study file names the shift."""
    refused = Unsayable(
        f"the shift {short(identity.get('name', '-'))} is none that platform.shifts makes from a few numbers"
    )
    match identity:
        case {"name": "town", "size": size, "source_images": source, "target_images": target, "seed": seed}:
            taken = {"size": size, "source_images": source, "target_images": target, "seed": seed}
        case {"name": "gta5_to_cityscapes", "size": size, "data": _, "decoding": _}:
            taken = {"size": size}
        case _:
            raise refused
    scored = identity.get("groups")
    if not isinstance(scored, list) or not all(isinstance(group, list) for group in scored):
        raise refused
    named = {name: _whole(value) for name, value in (taken | {"few": identity.get("few", 0)}).items()}
    members = [member for group in scored for member in group]
    if None in named.values() or not all(type(each) is int and 0 <= each < NUM_CLASSES for each in members):
        raise refused
    found = {"name": identity["name"], "groups": tuple(map(tuple, scored)), **named}
    try:
        made, _ = shift_of(found)
    except ValueError as error:
        raise Unsayable(str(error)) from error
    # A town has the classes that it draws, unless it stands in for another shift.
    if made.groups != found["groups"]:
        raise refused
    return found


def _whole(value: Any) -> Any:
    """A whole number, or a tuple of a few; None for anything else."""
    if isinstance(value, list):
        return tuple(value) if 0 < len(value) <= 3 and all(type(each) is int for each in value) else None
    return value if type(value) is int else None
