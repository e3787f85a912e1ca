"""A study: a question, asked of arms that share a shift, a recipe, a budget and a way to be searched.

    python -m platform.study studies/fda_beta.py

A study file defines one `Study`; its arms' names are the rows of the table.
"""

import difflib
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from platform.hyperparameters import check_value, rule_of, unknown_field
from platform.methods.adversarial import Adversarial
from platform.methods.method import Method
from platform.networks.cost import Cost, cost
from platform.placement import Slot
from platform.provenance import training_code
from platform.recipe import Recipe
from platform.selectors import check_selector
from platform.shifts.shift import SMALLEST_SIDE, Shift
from platform.space import Dimension, Integers, LogUniform, OneOf, Range, Uniform
from platform.trials import Trial, evaluated_steps

__all__ = ["ASHA", "Arm", "Budget", "Integers", "LogUniform", "OneOf", "Recipe", "Study", "Uniform"]


@dataclass(frozen=True, init=False)
class Arm:
    """One row of the table: a method, and values or ranges for its hyperparameters and for the recipe's fields."""

    method: type[Method]
    fields: Mapping[str, Any]
    share: Mapping[str, float]
    """What its trials take of a node, where that differs from the budget."""

    def __init__(self, method: type[Method], /, **values: Any) -> None:
        if not (isinstance(method, type) and issubclass(method, Method)):
            raise ValueError(f"an arm must begin with a method's class, got {method!r}; write Arm(FDA, beta=0.01)")
        object.__setattr__(self, "method", method)
        object.__setattr__(self, "fields", MappingProxyType(values))
        object.__setattr__(self, "share", MappingProxyType({}))
        for name, value in values.items():
            self._check(name, value)

    def on(self, *, gpus: float | None = None, cpus: int | None = None, memory: float | None = None) -> "Arm":
        """The same row, its trials with a share of their own: `Arm(Adversarial, width=512).on(gpus=1, memory=24)`.

        Raises ValueError where `Budget` would.
        """
        given = {"gpus": gpus, "cpus": cpus, "memory": memory}
        share: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        Budget(steps=1, evaluations=1, **share)
        return _arm(self.method, dict(self.fields), {**self.share, **share})

    @property
    def ranges(self) -> dict[str, Range]:
        """The searched fields."""
        return {name: value for name, value in self.fields.items() if isinstance(value, Range)}

    def filled(self, chosen: Mapping[str, Any], recipe: Recipe) -> tuple[Method, Recipe]:
        """The method and the recipe with every range replaced: by the chosen value, else by the default."""
        values = {name: value for name, value in self.fields.items() if not isinstance(value, Range)} | dict(chosen)
        own = _names(self.method)
        method = self.method(**{name: value for name, value in values.items() if name in own})
        return method, replace(recipe, **{name: value for name, value in values.items() if name not in own})

    def warm_up(self, recipe: Recipe) -> float:
        """The longest warm-up that a trial of the arm may have, at any end of its ranges; a fraction of the steps."""
        chosen = [{}, *({name: end} for name, range_ in self.ranges.items() for end in range_.ends())]
        return max(part.warm_up for values in chosen for part in self.filled(values, recipe))

    def __reduce__(self) -> tuple[Any, ...]:
        return _arm, (self.method, dict(self.fields), dict(self.share))

    def _check(self, name: str, value: Any) -> None:
        owner: type = self.method if name in _names(self.method) else Recipe
        if name not in _names(owner):
            raise unknown_field(self.method.__name__, name, [*_names(self.method), *_names(Recipe)])
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


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What every trial may use."""

    steps: int
    """Optimiser steps of a full-length trial."""
    evaluations: int
    """How often a trial is evaluated, evenly spaced, the last time at its last step."""
    gpus: float = 0.0
    """GPUs per trial, fractions allowed; a cluster without GPUs runs on CPUs."""
    cpus: int = 1
    """CPU threads per trial; the numbers of a trial may differ between thread counts."""
    memory: float = 0.0
    """Memory per trial in GiB, so that a node gets no more trials than it has memory for; 0 is not counted."""

    @property
    def slot(self) -> Slot:
        """What a trial takes of a node."""
        return Slot(cpus=self.cpus, gpus=self.gpus, memory=self.memory)

    def __post_init__(self) -> None:
        for name in ("steps", "evaluations", "cpus"):
            _check_whole(self, name, least=1)
        share = "at least 0, and a whole number from 1 on"
        _check_number(self, "gpus", share, lambda gpus: gpus >= 0 and (gpus < 1 or gpus % 1 == 0))
        _check_number(self, "memory", "at least 0, in GiB", lambda memory: memory >= 0)
        if self.evaluations > self.steps:
            raise ValueError(f"Budget.evaluations must be at most Budget.steps, {self.steps}, got {self.evaluations}")

    @property
    def evaluated_steps(self) -> tuple[int, ...]:
        """The steps at which a trial is evaluated."""
        return evaluated_steps(self.steps, self.evaluations)


@dataclass(frozen=True, kw_only=True)
class ASHA:
    """Asynchronous successive halving, the stopping variant (Li et al., MLSys 2020, arXiv 1810.05934).

    At each rung a trial goes on only if it is among the best 1/reduction of its arm's trials seen at that rung so far.
    Departures: the rungs begin after the warm-up, and compare the mean of several evaluations, never a single one.
    """

    trials: int
    """Search trials per arm; the published default is the first."""
    grace: float = 0.2
    """Fraction of the steps from the end of the warm-up to the first rung."""
    reduction: int = 3
    """One in `reduction` trials goes on; each rung is `reduction` times as far from the warm-up as the one before."""
    smoothing: int = 3
    """Evaluations up to and including a rung's whose mean is compared there."""

    def __post_init__(self) -> None:
        _check_whole(self, "trials", least=1)
        _check_number(self, "grace", "above 0 and at most 1, which stops no trial", lambda grace: 0 < grace <= 1)
        _check_whole(self, "reduction", least=2)
        _check_whole(self, "smoothing", least=1)

    def rungs(self, evaluated_steps: Sequence[int], warm_up: float) -> tuple[int, ...]:
        """The steps at which trials may be stopped, fractions being the decimals that they are written as."""
        return rungs(evaluated_steps, exact(warm_up), exact(self.grace), self.reduction, self.smoothing)


@dataclass(frozen=True, kw_only=True)
class Study:
    """A question, everything known before anything runs; checked when it is made."""

    shift: Shift
    arms: Mapping[str, Arm]
    reference: str
    """The arm that differences are taken to."""
    select: str = "source/miou"
    """The metric that stops and picks in the search, higher being better; `oracle/` ones use target labels."""
    search: ASHA | None = None
    """How arms with ranges are searched; None where no arm has any."""
    budget: Budget
    seeds: int = 5
    """Confirm trials per arm, each on a fresh seed."""
    recipe: Recipe = field(default_factory=Recipe)
    """The base that arms may override field by field."""

    def __post_init__(self) -> None:
        for name, kind in (("shift", Shift), ("budget", Budget), ("recipe", Recipe)):
            if not isinstance(getattr(self, name), kind):
                value = getattr(self, name)
                call = f"; call it: {value.__name__}()" if callable(value) and hasattr(value, "__name__") else ""
                raise ValueError(f"Study.{name} must be a {kind.__name__}, got {value!r}{call}")
        if min(self.shift.size) < SMALLEST_SIDE:
            raise ValueError(
                f"Study.shift must have images of at least {SMALLEST_SIDE} pixels a side, got {self.shift.size}"
            )
        if self.search is not None and not isinstance(self.search, ASHA):
            raise ValueError(f"Study.search must be an ASHA or None, got {self.search!r}; write search=ASHA(trials=12)")
        _check_whole(self, "seeds", least=1)
        self._check_arms()
        check_selector(self.select)
        if self.search is None and (searched := [name for name, arm in self.arms.items() if arm.ranges]):
            raise ValueError(f"arm {searched[0]!r} has ranges but Study.search is missing; add search=ASHA(trials=12)")

    def _check_arms(self) -> None:
        if not isinstance(self.arms, Mapping) or not self.arms:
            raise ValueError(f"Study.arms must map at least one name to an Arm, got {self.arms!r}")
        folded: dict[str, str] = {}
        for name, arm in self.arms.items():
            if not isinstance(arm, Arm):
                raise ValueError(f"arm {name!r} must be an Arm, got {arm!r}; write Arm(FDA, beta=0.01)")
            if not isinstance(name, str) or not name.strip() or "\n" in name:
                raise ValueError(f"an arm's name must be one line of text, got {name!r}; it becomes a row of the table")
            key = " ".join(name.lower().split())
            if key in folded:
                raise ValueError(f"arm names must differ by more than case and blanks: {folded[key]!r} and {name!r}")
            folded[key] = name
            try:
                arm.filled({}, self.recipe)
            except ValueError as error:
                raise ValueError(f"arm {name!r}: {error}") from error
        if self.reference not in list(self.arms):
            near = difflib.get_close_matches(str(self.reference), self.arms, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            names = ", ".join(map(repr, self.arms))
            raise ValueError(f"Study.reference must be one of the arms, {names}, got {self.reference!r}.{hint}")

    @functools.cached_property
    def rungs(self) -> tuple[int, ...]:
        """The steps at which search trials may be stopped: the same in every arm, so that every row is judged alike."""
        return () if self.search is None else self.search.rungs(self.budget.evaluated_steps, self.warm_up)

    @property
    def warm_up(self) -> float:
        """The longest warm-up that a trial of any arm may have, as a fraction of the steps."""
        return max(arm.warm_up(self.recipe) for arm in self.arms.values())

    def selector(self, name: str) -> str:
        """The metric that stops and picks an arm's trials: `select`, of the domain whose labels train the arm.

        An upper bound that is trained on target labels would be no upper bound if its score on the source picked it.
        """
        return f"oracle/{self.select.split('/')[1]}" if self.arms[name].method.labelled == "target" else self.select

    def dimensions(self, name: str) -> dict[str, Dimension]:
        """The searched fields of an arm, as Optuna sees them at the shift's size."""
        arm = self.arms[name]
        return {
            field_: Dimension(range_, arm.method.integer(field_, self.shift.size))
            for field_, range_ in arm.ranges.items()
        }

    def search_trials(self, name: str) -> int:
        """How many search trials an arm gets: the budget's, or fewer where its ranges hold fewer values.

        A default that lies outside the ranges is tried beside them.
        """
        dimensions = self.dimensions(name)
        if self.search is None or not dimensions:
            return 0
        proposals = [dimension.proposals() for dimension in dimensions.values()]
        points = math.prod(math.inf if values is None else len(values) for values in proposals)
        return int(min(self.search.trials, points + (not self.holds_default(name))))

    def holds_default(self, name: str) -> bool:
        """Whether an arm's ranges hold the defaults of their fields: the first search trial."""
        defaults = self.defaults(name)
        return all(dimension.holds(defaults[field_]) for field_, dimension in self.dimensions(name).items())

    def defaults(self, name: str) -> dict[str, Any]:
        """The values of an arm's searched fields in its first search trial."""
        method, recipe = self.arms[name].filled({}, self.recipe)
        values = _values(recipe) | _values(method)
        return {field_: values[field_] for field_ in self.arms[name].ranges}

    def slot(self, name: str) -> Slot:
        """What a trial of an arm takes of a node."""
        share: Mapping[str, Any] = self.arms[name].share
        return replace(self.budget.slot, **share)

    def trial(self, name: str, chosen: Mapping[str, Any], seed: int, shift_identity: dict[str, Any]) -> Trial:
        """An arm's trial for chosen values of its ranges; those not chosen stand at their defaults."""
        method, recipe = self.arms[name].filled(chosen, self.recipe)
        return Trial(
            method=type(method).__name__,
            hyperparameters=_values(method),
            recipe=_values(recipe),
            shift=shift_identity,
            resolved=resolved(method, self.shift.size),
            seed=seed,
            steps=self.budget.steps,
            evaluations=self.budget.evaluations,
            threads=self.slot(name).cpus,
            code=training_code(type(method)),
        )

    def cost(self, name: str) -> Cost:
        """Parameters and GFLOPs of an arm's networks, at the defaults of what is searched."""
        method, recipe = self.arms[name].filled({}, self.recipe)
        return cost_of(method, recipe)


def resolved(method: Method, size: tuple[int, int]) -> dict[str, dict[str, Any]]:
    """The integers through which hyperparameters act at a size: `{"beta": {"band": 5}}`."""
    integers = {name: type(method).integer(name, size) for name in _names(type(method))}
    return {
        name: {integer.name: integer.of(getattr(method, name))}
        for name, integer in integers.items()
        if integer is not None
    }


def cost_of(method: Method, recipe: Recipe) -> Cost:
    """Parameters and GFLOPs of what a method trains."""
    return cost(*networks_of(method, recipe))


def networks_of(method: Method, recipe: Recipe) -> tuple[float, tuple[int, bool] | None]:
    """The width of the network, and width and kind of the discriminator if there is one: what `cost` takes."""
    discriminator = (method.width, method.separable) if isinstance(method, Adversarial) else None
    return recipe.network_width, discriminator


def rungs(
    evaluated_steps: Sequence[int], warm_up: Fraction, grace: Fraction, reduction: int, smoothing: int
) -> tuple[int, ...]:
    """Evaluated steps before the last at which successive halving compares trials.

    Rung k = 0, 1, ... lies at the first evaluation at or after (warm_up + grace * reduction**k) * steps, and not before
    the `smoothing`-th evaluation after the warm-up.
    """
    steps = evaluated_steps[-1]
    warm = [step for step in evaluated_steps if step > warm_up * steps][smoothing - 1 :]
    found, wanted = set(), warm_up + grace
    while wanted < 1:
        found.update([step for step in warm if step >= wanted * steps][:1])
        grace *= reduction
        wanted = warm_up + grace
    return tuple(sorted(found - {steps}))


def exact(part: float) -> Fraction:
    """The decimal that a fraction of the steps is written as: 0.1 is a tenth, which no float is."""
    return Fraction(str(part))


def _names(cls: type) -> list[str]:
    return [entry.name for entry in fields(cls)]


def _values(instance: Method | Recipe) -> dict[str, Any]:
    return {name: getattr(instance, name) for name in _names(type(instance))}


def _arm(method: type[Method], values: dict[str, Any], share: dict[str, float]) -> Arm:
    arm = Arm(method, **values)
    object.__setattr__(arm, "share", MappingProxyType(share))
    return arm


def _check_whole(owner: Any, name: str, *, least: int) -> None:
    value = getattr(owner, name)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise _refused(owner, name, f"a whole number of at least {least}", value)


def _check_number(owner: Any, name: str, rule: str, admits: Callable[[float], bool]) -> None:
    value = getattr(owner, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not admits(value):
        raise _refused(owner, name, rule, value)


def _refused(owner: Any, name: str, rule: str, value: Any) -> ValueError:
    remedy = "; only the fields of an Arm take ranges" if isinstance(value, Range) else ""
    return ValueError(f"{type(owner).__name__}.{name} must be {rule}, got {value!r}{remedy}")


def _fitting(kind: type) -> str:
    return {float: "LogUniform, Uniform or OneOf", int: "Integers or OneOf"}.get(kind, "OneOf")


if __name__ == "__main__":
    # Run as a command this file is the module __main__, while the study file imports platform.study: the command must
    # see the same classes as the study file.
    import sys

    from platform.command import main

    sys.exit(main())
