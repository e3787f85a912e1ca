"""An arm within its study: all that follows from the two, known before anything runs."""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from platform.design.arm import Arm
from platform.design.asha import ASHA
from platform.design.budget import Budget, Slot
from platform.design.ranges import Dimension, OneOf
from platform.methods.composition import Composition
from platform.networks.cost import Cost
from platform.networks.hyperparameters import field_values
from platform.records.plain import recorded
from platform.records.trial import START_NUMBER, Trial
from platform.scores.selectors.choice import of_upper_bound
from platform.shifts.shift import Shift
from platform.training.code import training_code
from platform.training.cost import cost_of
from platform.training.given import Given
from platform.training.recipe import Recipe
from platform.training.steps.passes import RECALIBRATED


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the table: a named arm, and what its study gives to all of them."""

    name: str
    arm: Arm
    shift: Shift
    recipe: Recipe
    """The study's, before the arm's own fields."""
    budget: Budget
    search: ASHA | None
    select: str
    """The study's selector."""
    seeds: int
    """Seeds that count for the table; where rows race, at most."""
    given: tuple["Row", ...] = ()
    """The rows that it comes after."""
    lender: "Row | None" = None
    """The row whose search chooses the values of its ranges, where that is not its own."""
    starts_searches: bool = False
    """Whether search trials of another row begin from a trial of it, which is one more than its seeds."""

    @property
    def selector(self) -> str:
        """The metric that stops and picks the trials: `select`, of the domain whose labels train the arm.

        An upper bound that is trained on target labels would be no upper bound if its score on the source picked it.
        """
        return of_upper_bound(self.select) if self.arm.supervised else self.select

    @functools.cached_property
    def dimensions(self) -> dict[str, Dimension]:
        """The searched fields, its own search's or its lender's, as that sees them at the shift's size."""
        return {
            field: Dimension(range_, self.arm.integer(field, self.shift.size))
            for field, range_ in self.arm.ranges.items()
        }

    @functools.cached_property
    def search_trials(self) -> int:
        """The number of search trials: the study's, or fewer where the ranges hold fewer values.

        A default that lies outside the ranges is tried beside them.
        """
        if self.search is None or not self.arm.searches:
            return 0
        proposals = [dimension.proposals() for dimension in self.dimensions.values()]
        points = math.prod(math.inf if values is None else len(values) for values in proposals)
        return int(min(self.search.trials, points + bool(self.defaults_outside)))

    @property
    def confirm_numbers(self) -> tuple[int, ...]:
        """The numbers of the confirm trials: those of the seeds, and the one that other rows' searches begin from."""
        return self.confirms(self.seeds)

    def confirms(self, seeds: int) -> tuple[int, ...]:
        """The numbers of the confirm trials of so many seeds; without any, of none."""
        return (*range(seeds), *([START_NUMBER] if self.starts_searches and seeds else []))

    @property
    def trials(self) -> int:
        """The number of search and confirm trials."""
        return self.search_trials + len(self.confirm_numbers)

    @functools.cached_property
    def evaluations(self) -> int:
        """How often a trial is evaluated: once, at its end, where steps change nothing and there is no search.

        Early stopping compares search trials of all rows at the same steps.
        """
        methods, _ = self.filled({})
        return self.budget.evaluations if methods.acts or self.search_trials else 1

    @property
    def supervised(self) -> bool:
        """Whether it, or a row that it comes after, trains on target labels that adaptation does not have."""
        return self.arm.supervised or any(row.supervised for row in self.given)

    @property
    def few(self) -> int:
        """Labelled target images that it, or a row that it comes after, trains on, of those that the shift grants."""
        return max([self.shift.few if "few" in self.arm.reads else 0, *(row.few for row in self.given)])

    @property
    def recalibrated(self) -> bool:
        """Whether what is deployed may normalise by statistics of the target's images."""
        return RECALIBRATED in self.arm.norms(self.recipe)

    @property
    def adapts(self) -> bool:
        """Whether it, or a row that it comes after, sees anything of the target."""
        return bool(self.arm.reads - {"source"}) or self.recalibrated or any(row.adapts for row in self.given)

    @functools.cached_property
    def given_at_defaults(self) -> tuple[Given, ...]:
        """What its trials begin from, at the defaults of what is searched: what costs are counted from."""
        return tuple(Given(*row.filled({}), row.given_at_defaults) for row in self.given)

    @functools.cached_property
    def defaults(self) -> dict[str, Any]:
        """The values of the searched fields in the first search trial."""
        methods, recipe = self.filled({})
        values = field_values(recipe) | methods.values
        return {field: values[field] for field in self.dimensions}

    @property
    def defaults_outside(self) -> dict[str, Any]:
        """Those of the defaults that lie outside their ranges."""
        return {
            field: self.defaults[field]
            for field, dimension in self.dimensions.items()
            if not dimension.holds(self.defaults[field])
        }

    @property
    def slot(self) -> Slot:
        """What a trial takes of a node."""
        return replace(self.budget.slot, **self.arm.share.given)

    def filled(self, chosen: Mapping[str, Any]) -> tuple[Composition, Recipe]:
        """The methods and the recipe for chosen values of the ranges, those not chosen at their defaults.

        The values may be those that records have.
        """
        return self.arm.filled({field: self._meant(field, value) for field, value in chosen.items()}, self.recipe)

    def trial(
        self, chosen: Mapping[str, Any], seed: int, shift_identity: dict[str, Any], after: tuple[str, ...] = ()
    ) -> Trial:
        """The trial for chosen values of the ranges, those not chosen at their defaults, that begins from others."""
        methods, recipe = self.filled(chosen)
        return Trial(
            method=self.arm.name,
            hyperparameters=methods.values,
            recipe={name: recorded(value) for name, value in field_values(recipe).items()},
            shift=shift_identity,
            resolved=self.arm.resolved(methods.values, self.shift.size),
            seed=seed,
            steps=self.budget.steps,
            evaluations=self.evaluations,
            threads=self.slot.cpus,
            code=training_code(*self.code),
            data=methods.data(),
            after=after,
        )

    @property
    def code(self) -> tuple[type, ...]:
        """The classes whose code decides a trial's numbers."""
        networks = self.arm.fields.get("network", self.recipe.network)
        several = networks.values if isinstance(networks, OneOf) else (networks,)
        kind = type(self.arm.recipe(self.recipe))
        return (*self.arm.methods, *dict.fromkeys(map(type, several)), kind, *self.shift.classes)

    def _meant(self, field: str, value: Any) -> Any:
        """A field's value, for what records have of it; the default may lie outside of the range."""
        meant, default = self.dimensions[field].meant(value), self.defaults[field]
        return default if meant == recorded(default) else meant

    @property
    def cost(self) -> Cost:
        """Parameters and GFLOPs of the networks, at the defaults of what is searched."""
        return cost_of(*self.filled({}), self.given_at_defaults)
