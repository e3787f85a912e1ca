"""Which rows would tell: from one trial to another, setting by setting.

Of up to three settings that differ, every combination (a full factorial: all effects and interactions). Of more, this
trial with each of them as the other has it, and the other with each of them as in this one: 2 n + 2 rows.
"""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from platform.design.arm import Arm
from platform.design.budget import Budget
from platform.design.study import Study
from platform.networks.hyperparameters import field_values
from platform.records.one_line import one_line
from platform.records.plain import recorded
from platform.records.record import ArmHeader, Ask, StudyHeader
from platform.records.trial import Trial
from platform.results.against.mismatches import ABSENT, texts
from platform.results.against.proposal.setup import Setup, Unsayable, setup, shift_of
from platform.results.lines import short
from platform.training.recipe import Recipe

FULL = 3
"""Most settings of which every combination is a row."""
THIS, OTHER = "this", "other"
"""The rows at both ends."""
LONGEST_VALUE = 30
"""Characters of a value that a row is named by."""


@dataclass(frozen=True)
class Before:
    """A row that the compared one comes after, of the study that proposes."""

    name: str
    trial: Trial
    after: tuple[str, ...]


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


@dataclass(frozen=True)
class Row:
    """A row that a study file may have."""

    name: str
    arm: Arm
    changed: frozenset[str]
    """The factors that are as the other has them."""


@dataclass(frozen=True)
class Proposed:
    """One study file: rows that share what all rows of a study share."""

    study: Study
    rows: tuple[Row, ...]
    before: tuple[str, ...]
    """Rows that the others come after."""
    shared: tuple[str, ...]
    """The study's own settings, in words: `steps 300 as in this`."""
    values: Mapping[str, Any]
    """The setup's values that its rows share, by key."""


@dataclass(frozen=True)
class Proposal:
    """The ablation from one trial to another."""

    factors: tuple[Factor, ...]
    files: tuple[Proposed, ...]
    refused: tuple[str, ...]
    """Combinations that no study takes, and why."""

    @property
    def is_full(self) -> bool:
        """Whether every combination of the factors is a row."""
        return len(self.factors) <= FULL


def rows_before(header: StudyHeader, asks: Sequence[Ask], arm: ArmHeader) -> list[Before]:
    """The rows that a row comes after, as its study has confirmed them, each behind those that it comes after itself.

    Raises Unsayable where one of them was not asked for yet.
    """
    arms = {each.name: each for each in header.arms}
    found: dict[str, Before] = {}

    def add(names: Sequence[str], below: frozenset[str]) -> None:
        for name in names:
            asked = [ask for ask in asks if (ask.arm, ask.phase) == (name, "confirm")]
            if name not in arms or name in below or not asked:  # somebody else's records may follow each other
                raise Unsayable(f"it comes after {short(name)}, of which no confirm trial is on record")
            add(arms[name].after, below | {name})
            found.setdefault(name, Before(name, asked[-1].trial, arms[name].after))

    add(arm.after, frozenset({arm.name}))
    return [*found.values()]


def propose(
    this: Trial,
    other: Trial,
    before: Sequence[Before],
    after: tuple[str, ...],
    budget: Budget,
    seeds: int,
    own: Collection[str],
) -> Proposal | None:
    """The study files whose rows lead from one trial to another; None where they differ in nothing that one can say.

    `before` are the rows that this trial's row comes after, each behind those that it comes after itself, and `after`
    the names of the nearest; of `budget` counts what a trial takes of a machine; `own` are names of classes that the
    study file defines itself. Raises Unsayable for a trial that no study file of this version can say.
    """
    one, two = _flat(setup(this, own)), _flat(setup(other, own))
    factors = factors_between(this, other, own)
    if not factors:
        return None
    earlier = [(each, _flat(setup(each.trial, own))) for each in before]
    # A row whose steps do nothing is evaluated once, whatever the others of its study are.
    evaluations = max([1, *(each.trial.evaluations for each in before)])
    varied = frozenset(key for factor in factors for key in factor.keys)
    arms_before = {each.name: _arm(values, each.after, this.threads, frozenset()) for each, values in earlier}
    found: dict[tuple[bool, ...], list[tuple[frozenset[str], dict[str, Any]]]] = {}
    of_study = [factor for factor in factors if factor.is_the_studys]
    for changed in _combinations([factor.name for factor in factors]):
        values = _between(one, two, [factor for factor in factors if factor.name in changed])
        found.setdefault(tuple(factor.name in changed for factor in of_study), []).append((changed, values))
    files, refused = [], list[str]()
    for state, cells in sorted(found.items()):
        common = cells[0][1]
        rows = []
        for changed, values in cells:
            name = _named(changed, factors)
            try:
                arm = _arm(values, after, this.threads, varied)
                _study({**arms_before, name: arm}, name, common, evaluations, budget, this.threads, seeds)
            except ValueError as error:
                refused.append(f"{name}: {one_line(error)}")
                continue
            rows.append(Row(name, arm, changed))
        if rows:
            arms = arms_before | {row.name: row.arm for row in rows}
            study = _study(arms, rows[0].name, common, evaluations, budget, this.threads, seeds)
            shared = tuple(
                f"{factor.name} {factor.other if changed else factor.this} as in {OTHER if changed else THIS}"
                for factor, changed in zip(of_study, state, strict=True)
            )
            files.append(Proposed(study, tuple(rows), tuple(arms_before), shared, common))
    if not files:
        raise Unsayable(refused[0])
    return Proposal(tuple(factors), tuple(files), tuple(refused))


def factors_between(this: Trial, other: Trial, own: Collection[str]) -> list[Factor]:
    """What a study file can say of what differs between two trials. Raises Unsayable."""
    return _factors(_flat(setup(this, own)), _flat(setup(other, own)))


def _flat(made: Setup) -> dict[str, Any]:
    return {
        "methods": made.methods,
        **{f"field.{name}": value for name, value in made.hyperparameters.items()},
        **{f"recipe.{name}": value for name, value in made.recipe.items()},
        **{f"shift.{name}": value for name, value in made.shift.items()},
        "steps": made.steps,
        "evaluations": made.evaluations,
        "threads": made.threads,
    }


def _factors(one: Mapping[str, Any], two: Mapping[str, Any]) -> list[Factor]:
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


def _factor(name: str, keys: Sequence[str], one: Mapping[str, Any], two: Mapping[str, Any]) -> Factor:
    telling = {"method": "methods", "shift": "shift.name"}.get(name, keys[0])
    said = texts(*(_plain(side.get(telling, ABSENT)) for side in (one, two)))
    return Factor(name, *said, frozenset(keys))


def _plain(value: Any) -> Any:
    """A setup's value as records have it."""
    if isinstance(value, tuple) and value and isinstance(value[0], type):
        return " + ".join(kind.__name__ for kind in value)
    return recorded(value)


def _same(one: Mapping[str, Any], two: Mapping[str, Any], key: str) -> bool:
    return key in one and key in two and (type(one[key]), one[key]) == (type(two[key]), two[key])


def _combinations(names: Sequence[str]) -> Iterator[frozenset[str]]:
    """The factors that each row has as the other has them."""
    if len(names) <= FULL:
        for number in range(len(names) + 1):
            yield from map(frozenset, itertools.combinations(names, number))
        return
    whole = frozenset(names)
    yield frozenset()
    yield from (frozenset({name}) for name in names)
    yield from (whole - {name} for name in names)
    yield whole


def _between(one: Mapping[str, Any], two: Mapping[str, Any], changed: Sequence[Factor]) -> dict[str, Any]:
    keys = {key for factor in changed for key in factor.keys}
    mixed = {key: (two if key in keys else one).get(key) for key in dict.fromkeys((*one, *two))}
    return {key: value for key, value in mixed.items() if key in (two if key in keys else one)}


def _named(changed: Collection[str], factors: Sequence[Factor]) -> str:
    """A row's name by what is as the other has it: `beta=0.05`, or by what is not, where that is less."""
    ours = [factor for factor in factors if factor.name not in changed]
    theirs = [factor for factor in factors if factor.name in changed]
    if not theirs:
        return THIS
    if not ours:
        return OTHER
    if len(theirs) <= max(len(ours), FULL - 1):
        return ", ".join(_setting(factor.name, factor.other, OTHER) for factor in theirs)
    return f"{OTHER}, but {', '.join(_setting(factor.name, factor.this, THIS) for factor in ours)}"


def _setting(name: str, value: str, side: str) -> str:
    return f"{name}={value}" if len(value) <= LONGEST_VALUE and value != ABSENT else f"{name} of {side}"


def _arm(values: Mapping[str, Any], after: tuple[str, ...], threads: int, varied: Collection[str]) -> Arm:
    """The arm of these values: those that are no defaults, and those that vary. Raises ValueError."""
    kinds = values["methods"]
    # What trains nothing takes no settings of the descent.
    said = varied if Arm(*kinds).trains else ()
    given = {
        name: values[f"{room}.{name}"]
        for room, owner in (*(("field", kind()) for kind in kinds), ("recipe", Recipe()))
        for name, default in field_values(owner).items()
        if f"{room}.{name}" in said or values[f"{room}.{name}"] != default
    }
    arm = Arm(*kinds, **given)
    if values["threads"] != threads:
        arm = arm.on(cpus=values["threads"])
    return arm.after(*after) if after else arm


def _study(
    arms: Mapping[str, Arm],
    reference: str,
    values: Mapping[str, Any],
    evaluations: int,
    budget: Budget,
    threads: int,
    seeds: int,
) -> Study:
    """The study of these arms, as its file will make it. Raises ValueError."""
    shift, _ = shift_of({key.removeprefix("shift."): value for key, value in values.items() if key[:6] == "shift."})
    return Study(
        shift=shift,
        arms=arms,
        reference=reference,
        budget=replace(
            budget,
            steps=values["steps"],
            evaluations=values["evaluations"] if values["evaluations"] > 1 else min(evaluations, values["steps"]),
            cpus=threads,
        ),
        seeds=seeds,
    )
