"""What a study file can say of what differs between two trials, setting by setting, and the names of rows by it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from platform.records.plain import recorded
from platform.records.trial import Trial
from platform.results.against.mismatches import ABSENT, texts
from platform.results.against.proposal.setup import Setup, setup

THIS, OTHER = "this", "other"
"""The rows at both ends."""
MOST_NAMED = 2
"""Settings that a row is named by, however few it has of the other end's."""
LONGEST_VALUE = 30
"""Characters of a value that a row is named by."""
Values = Mapping[str, Any]
"""A setup's values by keys that say where they belong: `field.beta`, `recipe.batch`, `shift.size`, `methods`."""


@dataclass(frozen=True)
class Factor:
    """A setting that differs, or several that only differ together."""

    name: str
    this: str
    other: str
    keys: frozenset[str]

    @property
    def is_the_studys(self) -> bool:
        """Whether all rows of a study share it."""
        return all(key.startswith("shift.") or key in ("steps", "evaluations") for key in self.keys)

    @property
    def is_an_arms(self) -> bool:
        """Whether it is one of methods, their fields and the recipe's, of which an ablation makes a part."""
        return all(key.startswith(("field.", "recipe.")) or key == "methods" for key in self.keys)


def factors_between(this: Trial, other: Trial, own: Collection[str]) -> list[Factor]:
    """What a study file can say of what differs between two trials. Raises Unsayable."""
    return factors_of(values_of(this, own), values_of(other, own))


def values_of(trial: Trial, own: Collection[str]) -> dict[str, Any]:
    """What a study file says for a trial, by keys. Raises Unsayable."""
    made: Setup = setup(trial, own)
    return {
        "methods": made.methods,
        **{f"field.{name}": value for name, value in made.hyperparameters.items()},
        **{f"recipe.{name}": value for name, value in made.recipe.items()},
        **{f"shift.{name}": value for name, value in made.shift.items()},
        "steps": made.steps,
        "evaluations": made.evaluations,
        "threads": made.threads,
    }


def factors_of(one: Values, two: Values) -> list[Factor]:
    """What differs, each by itself, but for what makes no sense alone."""
    differ = [key for key in dict.fromkeys((*one, *two)) if not _same(one, two, key)]
    together: dict[str, list[str]] = {}
    for key in differ:
        room, _, name = key.partition(".")
        if (room == "field" and "methods" in differ and not (key in one and key in two)) or key == "methods":
            together.setdefault("method", []).append(key)
        elif room == "shift" and "shift.name" in differ:
            together.setdefault("shift", []).append(key)
        elif key == "evaluations" and "steps" in differ:
            together.setdefault("steps", []).append(key)
        elif room == "shift":
            together.setdefault(key, []).append(key)
        else:
            together.setdefault(name or key, []).append(key)
    return [_factor(name, keys, one, two) for name, keys in together.items()]


def _factor(name: str, keys: Sequence[str], one: Values, two: Values) -> Factor:
    telling = {"method": "methods", "shift": "shift.name"}.get(name, keys[0])
    said = texts(*(_plain(side.get(telling, ABSENT)) for side in (one, two)))
    return Factor(name, *said, frozenset(keys))


def _plain(value: Any) -> Any:
    """A setup's value as records have it."""
    if isinstance(value, tuple) and value and isinstance(value[0], type):
        return " + ".join(kind.__name__ for kind in value)
    return recorded(value)


def _same(one: Values, two: Values, key: str) -> bool:
    return key in one and key in two and (type(one[key]), one[key]) == (type(two[key]), two[key])


def between(one: Values, two: Values, changed: Collection[Factor]) -> dict[str, Any]:
    """The values of one end, but for those factors that are as the other has them."""
    keys = {key for factor in changed for key in factor.keys}
    mixed = {key: (two if key in keys else one).get(key) for key in dict.fromkeys((*one, *two))}
    return {key: value for key, value in mixed.items() if key in (two if key in keys else one)}


def named(changed: Collection[str], factors: Sequence[Factor]) -> str:
    """A row's name by what is as the other has it: `beta=0.05`, or by what is not, where that is less."""
    ours = [factor for factor in factors if factor.name not in changed]
    theirs = [factor for factor in factors if factor.name in changed]
    if not theirs:
        return THIS
    if not ours:
        return OTHER
    if len(theirs) <= max(len(ours), MOST_NAMED):
        return ", ".join(setting(factor, OTHER) for factor in theirs)
    return f"{OTHER}, but {', '.join(setting(factor, THIS) for factor in ours)}"


def setting(factor: Factor, side: str) -> str:
    """A setting as one side has it: `beta=0.05`, or `network of other`, where the value is long."""
    value = factor.other if side == OTHER else factor.this
    return f"{factor.name}={value}" if len(value) <= LONGEST_VALUE and value != ABSENT else f"{factor.name} of {side}"
