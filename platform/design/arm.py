"""An arm: one row of the table."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from platform.design.budget import Share
from platform.design.ranges import Range
from platform.methods.hyperparameters import check_decorated, check_value, field_names, rule_of, unknown_field
from platform.methods.method import Method
from platform.records.plain import check_name, plain
from platform.training.recipe import Recipe

LONGEST_NAME = 200
"""Bytes of a name: MLflow's databases take 250 for a run, which is named by its arm and trial."""


@dataclass(frozen=True, init=False)
class Arm:
    """One row of the table: a method, and values or ranges for its hyperparameters and for the recipe's fields."""

    method: type[Method]
    fields: Mapping[str, Any]
    share: Share
    """What its trials take of a node, where that differs from the budget; given by `on`."""

    def __init__(self, method: type[Method], /, **values: Any) -> None:
        if not (isinstance(method, type) and issubclass(method, Method)):
            raise ValueError(f"an arm must begin with a method's class, got {method!r}; write Arm(FDA, beta=0.01)")
        check_decorated(method)
        if shared := [name for name in field_names(method) if name in field_names(Recipe)]:
            raise ValueError(
                f"{method.__name__}'s fields must not be called like the recipe's, got {shared[0]!r}; rename it"
            )
        check_name("the name of an arm's method", method.__name__, LONGEST_NAME)
        values = {name: plain(value) for name, value in values.items()}
        object.__setattr__(self, "method", method)
        object.__setattr__(self, "fields", MappingProxyType(values))
        object.__setattr__(self, "share", Share())
        for name, value in values.items():
            self._check(name, value)

    def on(self, *, gpus: float | None = None, cpus: int | None = None, memory: float | None = None) -> "Arm":
        """The same row, its trials with a share of their own: `Arm(Adversarial, width=512).on(gpus=1, memory=24)`.

        Raises ValueError where `Budget` would.
        """
        share = Share(gpus=gpus, cpus=cpus, memory=memory)
        return _arm(self.method, dict(self.fields), replace(self.share, **share.given))

    def without(self, names: Collection[str]) -> "Arm":
        """The same method with neither values nor ranges for these fields, and no share of its own."""
        return Arm(self.method, **{name: value for name, value in self.fields.items() if name not in names})

    @property
    def ranges(self) -> dict[str, Range]:
        """The searched fields."""
        return {name: value for name, value in self.fields.items() if isinstance(value, Range)}

    def filled(self, chosen: Mapping[str, Any], recipe: Recipe) -> tuple[Method, Recipe]:
        """The method and the recipe with every range replaced: by the chosen value, else by the default."""
        values = {name: value for name, value in self.fields.items() if not isinstance(value, Range)} | dict(chosen)
        own = field_names(self.method)
        method = self.method(**{name: value for name, value in values.items() if name in own})
        return method, replace(recipe, **{name: value for name, value in values.items() if name not in own})

    def warm_up(self, recipe: Recipe) -> float:
        """The longest warm-up that a trial of the arm may have, at any end of its ranges; a fraction of the steps."""
        chosen = [{}, *({name: end} for name, range_ in self.ranges.items() for end in range_.ends())]
        return max(part.warm_up for values in chosen for part in self.filled(values, recipe))

    def __reduce__(self) -> tuple[Any, ...]:
        return _arm, (self.method, dict(self.fields), self.share)

    def _check(self, name: str, value: Any) -> None:
        owner: type = self.method if name in field_names(self.method) else Recipe
        if name not in field_names(owner):
            raise unknown_field(self.method.__name__, name, [*field_names(self.method), *field_names(Recipe)])
        if not isinstance(value, Range):
            check_value(owner, name, value)
            return
        default = next(entry.default for entry in fields(owner) if entry.name == name)
        if not rule_of(owner, name).searchable:
            raise ValueError(f"{owner.__name__}.{name} takes no range, got {value}; give each of its values an arm")
        if type(default) not in value.takes:
            kinds = " or ".join(kind.__name__ for kind in value.takes)
            raise ValueError(
                f"{owner.__name__}.{name} is of type {type(default).__name__}, but {value} gives {kinds}; "
                f"use {_fitting(type(default))}"
            )
        for end in value.ends():
            check_value(owner, name, end)


def resolved(method: Method, size: tuple[int, int]) -> dict[str, dict[str, Any]]:
    """The integers through which hyperparameters act at a size: `{"beta": {"band": 5}}`."""
    integers = {name: type(method).integer(name, size) for name in field_names(type(method))}
    return {
        name: {integer.name: plain(integer.of(getattr(method, name)))}
        for name, integer in integers.items()
        if integer is not None
    }


def _arm(method: type[Method], values: dict[str, Any], share: Share) -> Arm:
    """An arm with its share: the constructor's keywords are fields of the method and the recipe alone."""
    arm = Arm(method, **values)
    object.__setattr__(arm, "share", share)
    return arm


def _fitting(kind: type) -> str:
    return {float: "LogUniform, Uniform or OneOf", int: "Integers or OneOf"}.get(kind, "OneOf")
