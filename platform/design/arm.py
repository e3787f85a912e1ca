"""An arm: one row of the table."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from platform.design.budget import Share
from platform.design.ranges import OneOf, Range
from platform.methods.composition import Composition, check_together, reads_of
from platform.methods.method import Method
from platform.methods.spelling import check_spelling
from platform.methods.step import LABELLED
from platform.networks.hyperparameters import check_declared, check_value, field_names, rule_of, unknown_field
from platform.networks.network import Architecture
from platform.records.plain import check_name, plain
from platform.training.recipe import DESCENT, DOMAIN_SPECIFIC, Recipe

LONGEST_NAME = 200
"""Bytes of a name: MLflow's databases take 250 for a run, which is named by its arm and trial."""


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

    def __init__(self, *methods: type[Method], **values: Any) -> None:
        for method in methods or (None,):
            if not (isinstance(method, type) and issubclass(method, Method)):
                raise ValueError(f"an arm must begin with a method's class, got {method!r}; write Arm(FDA, beta=0.01)")
            check_declared(method)
            check_spelling(method)
            if shared := [name for name in field_names(method) if name in field_names(Recipe)]:
                raise ValueError(
                    f"{method.__name__}'s fields must not be called like the recipe's, got {shared[0]!r}; rename it"
                )
        check_together(methods)
        values = {name: plain(value) for name, value in values.items()}
        object.__setattr__(self, "methods", methods)
        object.__setattr__(self, "fields", MappingProxyType(values))
        object.__setattr__(self, "share", Share())
        object.__setattr__(self, "follows", ())
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
        return _arm(self.methods, dict(self.fields), replace(self.share, **share.given), self.follows)

    def after(self, *arms: str) -> "Arm":
        """The same row, each of its trials beginning from the complete trial of these arms that has its seed.

        `Arm(AdaBN).after("source only")`: the methods are given the networks that those deploy. Raises ValueError.
        """
        if not arms or not all(isinstance(plain(arm), str) for arm in arms) or len(set(arms)) < len(arms):
            raise ValueError(f'after must be given names of arms, each once, got {arms!r}; write .after("source only")')
        return _arm(self.methods, dict(self.fields), self.share, tuple(map(plain, arms)))

    def smoke(self) -> "Arm":
        """The same methods for `--smoke`: small networks, no files, and neither a batch nor a share of their own."""
        kept = {name: value for name, value in self.fields.items() if name != "batch"}
        fixed = {name: value for method in self.methods for name, value in method.smoke.items()}
        if "network" in kept:
            fixed["network"] = _small(kept["network"])
        return _arm(self.methods, kept | fixed, Share(), self.follows)

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
        return Composition(tuple(methods)), replace(recipe, **values)

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
        return _arm, (self.methods, dict(self.fields), self.share, self.follows)

    def _check(self, name: str, value: Any) -> None:
        owner: type = next((method for method in self.methods if name in field_names(method)), Recipe)
        if name not in field_names(owner):
            known = [*(field for method in self.methods for field in field_names(method)), *field_names(Recipe)]
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


def _arm(methods: tuple[type[Method], ...], values: dict[str, Any], share: Share, follows: tuple[str, ...]) -> Arm:
    """An arm with what is no field: the constructor's keywords are fields of the methods and the recipe alone."""
    arm = Arm(*methods, **values)
    object.__setattr__(arm, "share", share)
    object.__setattr__(arm, "follows", follows)
    return arm


def _small(network: Architecture | OneOf) -> Architecture | OneOf:
    """A small network of the kind, or of each kind that is searched."""
    if not isinstance(network, OneOf):
        return network.smoke()
    several = tuple(dict.fromkeys(each.smoke() for each in network.values))
    return OneOf(*several) if len(several) > 1 else several[0]


def _fitting(kind: type) -> str:
    return {float: "LogUniform, Uniform or OneOf", int: "Integers or OneOf"}.get(kind, "OneOf")
