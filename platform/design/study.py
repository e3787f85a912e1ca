"""A study: a question, asked of arms that share a shift, a recipe, a budget and a way to be searched."""

import difflib
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from platform.design.arm import Arm, resolved
from platform.design.asha import ASHA
from platform.design.budget import Budget, Slot
from platform.design.checks import check_whole
from platform.design.ranges import Dimension
from platform.methods.adversarial.output_space import Adversarial
from platform.methods.hyperparameters import field_values
from platform.methods.method import Method
from platform.networks.cost import Cost, cost
from platform.records.trial import Trial
from platform.scores.selectors.selector import check_selector
from platform.shifts.shift import SMALLEST_SIDE, Shift
from platform.training.code import training_code
from platform.training.recipe import Recipe


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
        check_whole(self, "seeds", least=1)
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
        values = field_values(recipe) | field_values(method)
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
            hyperparameters=field_values(method),
            recipe=field_values(recipe),
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


def cost_of(method: Method, recipe: Recipe) -> Cost:
    """Parameters and GFLOPs of what a method trains."""
    return cost(*networks_of(method, recipe))


def networks_of(method: Method, recipe: Recipe) -> tuple[float, tuple[int, bool] | None]:
    """The width of the network, and width and kind of the discriminator if there is one: what `cost` takes."""
    discriminator = (method.width, method.separable) if isinstance(method, Adversarial) else None
    return recipe.network_width, discriminator
