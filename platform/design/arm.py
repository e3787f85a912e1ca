"""An arm: one row of the table."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from platform.design.ablation.cell import Cell
from platform.design.ablation.designs import of_every_row
from platform.design.budget import Share
from platform.design.ranges import OneOf, Range
from platform.methods.composition import Composition, check_together, reads_of
from platform.methods.method import Method
from platform.methods.spelling import check_spelling
from platform.methods.step import LABELLED
from platform.networks.hyperparameters import (
    check_declared,
    check_value,
    field_names,
    field_values,
    rule_of,
    unknown_field,
)
from platform.networks.network import Architecture
from platform.records.plain import check_name, plain
from platform.training.recipe import DESCENT, DOMAIN_SPECIFIC, Recipe

LONGEST_NAME = 200
"""Bytes of a name: MLflow's databases take 250 for a run, which is named by its arm and trial."""
CARRIED = ("share", "follows", "tuner", "cell")
"""What an arm has besides: the constructor's keywords are fields of the methods and the recipe alone."""


@dataclass(frozen=True, init=False)
class Arm:
    """One row of the table: one method or several together, and values or ranges for their fields and the recipe's.

    `Arm(FDA, Adversarial, beta=0.01)`: sources are translated by each method in turn, and their losses added.
    """

    methods: tuple[type[Method], ...]
    fields: Mapping[str, Any]
    share: Share
    """What its trials take of a node, where that differs from the budget; given by `on`."""
    follows: tuple[str, ...]
    """The arms whose trials its own begin from, seed by seed; given by `after`."""
    tuner: str
    """The arm whose search chooses the values of its ranges; empty for its own; given by `tuned_as`."""
    cell: Cell | None
    """Its place in an ablation; given by `ablate`."""
    kind: type[Recipe]
    """The class of its recipe: the study file's own, where it was given as `recipe`."""

    def __init__(self, *methods: type[Method], recipe: Any = Recipe, **values: Any) -> None:
        _check_recipe(recipe)
        for method in methods or (None,):
            if not (isinstance(method, type) and issubclass(method, Method)):
                raise ValueError(f"an arm must begin with a method's class, got {method!r}; write Arm(FDA, beta=0.01)")
            check_declared(method)
            check_spelling(method)
            if shared := [name for name in field_names(method) if name in field_names(recipe)]:
                raise ValueError(
                    f"{method.__name__}'s fields must not be called like the recipe's, got {shared[0]!r}; rename it"
                )
        check_together(methods)
        values = {name: plain(value) for name, value in values.items()}
        object.__setattr__(self, "methods", methods)
        object.__setattr__(self, "fields", MappingProxyType(values))
        for name, value in (("kind", recipe), ("share", Share()), ("follows", ()), ("tuner", ""), ("cell", None)):
            object.__setattr__(self, name, value)
        check_name("the name of an arm's methods", self.name, LONGEST_NAME)
        for name, value in values.items():
            self._check(name, value)
            if name in DESCENT and not self.trains:
                raise ValueError(
                    f"{self.name} trains nothing, so that {name} would change nothing, got {value!r}; leave it out"
                )

    @property
    def name(self) -> str:
        """The methods' names: `FDA + Adversarial`."""
        return " + ".join(method.__name__ for method in self.methods)

    @property
    def reads(self) -> frozenset[str]:
        """What its methods read of `source`, `target`, `few` and `oracle`."""
        return frozenset().union(*map(reads_of, self.methods))

    @property
    def trains(self) -> bool:
        """Whether anything descends a loss, so that there is a learning rate to be tuned."""
        return bool(self.reads & LABELLED.keys()) or any(method.losses is not Method.losses for method in self.methods)

    @property
    def supervised(self) -> bool:
        """Whether it trains on target labels that adaptation does not have: an upper bound."""
        return "oracle" in self.reads

    def on(self, *, gpus: float | None = None, cpus: int | None = None, memory: float | None = None) -> "Arm":
        """The same row, its trials with a share of their own: `Arm(Adversarial, width=512).on(gpus=1, memory=24)`.

        Raises ValueError where `Budget` would.
        """
        share = Share(gpus=gpus, cpus=cpus, memory=memory)
        return self.again(share=replace(self.share, **share.given))

    def after(self, *arms: str) -> "Arm":
        """The same row, each of its trials beginning from the complete trial of these arms that has its seed.

        `Arm(AdaBN).after("source only")`: the methods are given the networks that those deploy. Raises ValueError.
        """
        if not arms or not all(isinstance(plain(arm), str) for arm in arms) or len(set(arms)) < len(arms):
            raise ValueError(f'after must be given names of arms, each once, got {arms!r}; write .after("source only")')
        return self.again(follows=tuple(map(plain, arms)))

    def tuned_as(self, arm: str) -> "Arm":
        """The same row, which searches nothing: its ranges take the values that the search of another arm has chosen.

        `Arm(FDA, learning_rate=rate, entropy_weight=0.0).tuned_as("FDA")`. Raises ValueError.
        """
        arm = plain(arm)
        if not isinstance(arm, str) or not arm:
            raise ValueError(f'tuned_as must be given the name of an arm, got {arm!r}; write .tuned_as("FDA")')
        if not self.ranges:
            raise ValueError(
                f"what is tuned as {arm!r} must have ranges, for the fields whose values it takes, and {self.name} has "
                "none; give it those of that arm, or leave tuned_as out"
            )
        return self.again(tuner=arm)

    @property
    def searches(self) -> bool:
        """Whether it has search trials of its own."""
        return bool(self.ranges) and not self.tuner

    def again(
        self, methods: tuple[type[Method], ...] | None = None, values: Mapping[str, Any] | None = None, **carried: Any
    ) -> "Arm":
        """The same row, but for other methods, other fields, or what it carries besides. Raises ValueError."""
        methods, values = self.methods if methods is None else methods, self.fields if values is None else values
        return _arm(methods, dict(values), self.kind, {name: getattr(self, name) for name in CARRIED} | carried)

    def smoke(self) -> "Arm":
        """The same methods for `--smoke`: small networks, no files, and neither a batch nor a share of their own.

        Rows of a path become those of all combinations: a real run may come to any of them.
        """
        kept = {name: value for name, value in self.fields.items() if name != "batch"}
        fixed = {name: value for method in self.methods for name, value in method.smoke.items()}
        if "network" in kept:
            fixed["network"] = _small(kept["network"])
        cell = None if self.cell is None else of_every_row(self.cell)
        small = self.again(values=kept | fixed, share=Share(), cell=cell)
        return small if small.ranges else small.again(tuner="")

    @property
    def ranges(self) -> dict[str, Range]:
        """The searched fields."""
        return {name: value for name, value in self.fields.items() if isinstance(value, Range)}

    def filled(self, chosen: Mapping[str, Any], recipe: Recipe) -> tuple[Composition, Recipe]:
        """The methods and the recipe with every range replaced: by the chosen value, else by the default."""
        values = {name: value for name, value in self.fields.items() if not isinstance(value, Range)} | dict(chosen)
        methods = []
        for method in self.methods:
            own = {name: values.pop(name) for name in field_names(method) if name in values}
            methods.append(method(**own))
        return Composition(tuple(methods)), self.recipe(recipe, values)

    def recipe(self, base: Recipe, values: Mapping[str, Any] | None = None) -> Recipe:
        """A study's recipe as one of the arm's class, with the arm's values. Raises ValueError for another kind's."""
        if isinstance(base, self.kind):
            return replace(base, **values or {})
        if not issubclass(self.kind, type(base)):
            raise ValueError(
                f"its recipe must be a kind of the study's, {type(base).__name__}, got {self.kind.__name__}; derive it "
                "from that"
            )
        return self.kind(**field_values(base) | dict(values or {}))

    def warm_up(self, recipe: Recipe) -> float:
        """The longest warm-up that a trial of the arm may have, at any end of its ranges; a fraction of the steps.

        Raises ValueError where a method gives none.
        """
        chosen = [{}, *({name: end} for name, range_ in self.ranges.items() for end in range_.ends())]
        parts = [part for values in chosen for part in self.filled(values, recipe)]
        for part in parts:
            share: object = part.warm_up
            if not isinstance(share, int | float) or not 0 <= share < 1:
                raise ValueError(
                    f"{part.name if isinstance(part, Composition) else 'Recipe'}.warm_up must be a fraction of the "
                    f"steps, of at least 0 and below 1, got {share!r}; a ramp of 0.2 lasts a fifth of them"
                )
        return max(part.warm_up for part in parts)

    def norms(self, recipe: Recipe) -> Collection[str]:
        """What its trials may have for the recipe's `batch_norm`."""
        value = self.fields.get("batch_norm", recipe.batch_norm)
        return value.values if isinstance(value, OneOf) else (value,)

    def check_norms(self, recipe: Recipe) -> None:
        """Raise ValueError where each domain is to have norms of its own, and the methods do not see both domains."""
        if DOMAIN_SPECIFIC in self.norms(recipe) and not {"source", "target"} <= self.reads:
            raise ValueError(
                f'batch_norm="{DOMAIN_SPECIFIC}" needs methods that see source and target, and {self.name} reads '
                f'{" and ".join(sorted(self.reads)) or "neither"}; give the row batch_norm="mixed"'
            )

    def integer(self, field: str, size: tuple[int, int]) -> Any:
        """The integer through which a field acts at a size, by the method that has the field; None for most."""
        owner = next((method for method in self.methods if field in field_names(method)), None)
        return None if owner is None else owner.integer(field, size)

    def resolved(self, values: Mapping[str, Any], size: tuple[int, int]) -> dict[str, dict[str, Any]]:
        """The integers through which hyperparameters act at a size: `{"beta": {"band": 5}}`."""
        integers = {name: self.integer(name, size) for name in values}
        return {
            name: {integer.name: plain(integer.of(values[name]))}
            for name, integer in integers.items()
            if integer is not None
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return _arm, (self.methods, dict(self.fields), self.kind, {name: getattr(self, name) for name in CARRIED})

    def _check(self, name: str, value: Any) -> None:
        owner: type = next((method for method in self.methods if name in field_names(method)), self.kind)
        if name not in field_names(owner):
            known = [*(field for method in self.methods for field in field_names(method)), *field_names(self.kind)]
            raise unknown_field(self.name, name, known)
        if not isinstance(value, Range):
            check_value(owner, name, value)
            return
        default = next(entry.default for entry in fields(owner) if entry.name == name)
        kind = rule_of(owner, name).kind or type(default)
        if not value.fits(kind):
            kinds = " or ".join(taken.__name__ for taken in value.takes)
            raise ValueError(
                f"{owner.__name__}.{name} is of type {kind.__name__}, but {value} gives {kinds}; use {_fitting(kind)}"
            )
        for end in value.ends():
            check_value(owner, name, end)


def _arm(
    methods: tuple[type[Method], ...], values: dict[str, Any], recipe: type[Recipe], carried: Mapping[str, Any]
) -> Arm:
    """An arm with what it carries besides its fields."""
    arm = Arm(*methods, recipe=recipe, **values)
    for name, value in carried.items():
        object.__setattr__(arm, name, value)
    return arm


def _check_recipe(recipe: object) -> None:
    """Raise ValueError unless it is a class of recipes, of whose fields each says what it may be."""
    if not (isinstance(recipe, type) and issubclass(recipe, Recipe)):
        raise ValueError(
            f"an arm's recipe must be a class derived from Recipe, got {recipe!r}; give values as fields, as "
            "Arm(FDA, batch=8)"
        )
    check_declared(recipe)


def _small(network: Architecture | OneOf) -> Architecture | OneOf:
    """A small network of the kind, or of each kind that is searched."""
    if not isinstance(network, OneOf):
        return network.smoke()
    several = tuple(dict.fromkeys(each.smoke() for each in network.values))
    return OneOf(*several) if len(several) > 1 else several[0]


def _fitting(kind: type) -> str:
    return {float: "LogUniform, Uniform or OneOf", int: "Integers or OneOf"}.get(kind, "OneOf")
