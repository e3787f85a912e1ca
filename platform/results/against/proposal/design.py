"""Which rows would tell: from one trial to another, setting by setting.

Of up to three settings that differ, every combination (a full factorial: all effects and interactions). Of more, this
trial with each of them as the other has it, and the other with each of them as in this one: 2 n + 2 rows.
"""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from platform.design.ablation.check import check_parts
from platform.design.arm import Arm
from platform.design.budget import Budget
from platform.design.study import Study
from platform.networks.hyperparameters import field_values
from platform.records.one_line import one_line
from platform.records.record import ArmHeader, Ask, StudyHeader
from platform.records.trial import Trial
from platform.results.against.proposal.factors import (
    OTHER,
    THIS,
    Factor,
    Values,
    between,
    factors_of,
    named,
    values_of,
)
from platform.results.against.proposal.parts import Ablated, Row, ablations, rows_of
from platform.results.against.proposal.setup import Unsayable, shift_of
from platform.results.lines import short
from platform.training.recipe import Recipe

FULL = 3
"""Most settings of which every combination is a row."""


@dataclass(frozen=True)
class Before:
    """A row that the compared one comes after, of the study that proposes."""

    name: str
    trial: Trial
    after: tuple[str, ...]


@dataclass(frozen=True)
class Around:
    """What the rows of a proposal have around them."""

    before: Sequence[Before]
    """The rows that this trial's row comes after, each behind those that it comes after itself."""
    after: tuple[str, ...]
    """The names of the nearest of these."""
    budget: Budget
    """Of which counts what a trial takes of a machine."""
    seeds: int
    own: Collection[str]
    """Names of classes that the study file defines itself."""


@dataclass(frozen=True)
class Proposed:
    """One study file: rows that share what all rows of a study share."""

    study: Study
    blocks: tuple[Row | Ablated, ...]
    """Its rows but for those that they come after: single ones, and ablations."""
    shared: tuple[str, ...]
    """The study's own settings, in words: `steps 300 as in this`."""
    values: Values
    """The setup's values that its rows share, by key."""

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of the blocks."""
        return rows_of(self.blocks)


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


def propose(this: Trial, other: Trial, around: Around) -> Proposal | None:
    """The study files whose rows lead from one trial to another; None where they differ in nothing that one can say.

    Raises Unsayable for a trial that no study file of this version can say.
    """
    one, two = values_of(this, around.own), values_of(other, around.own)
    factors = factors_of(one, two)
    if not factors:
        return None
    frame = _frame(this, around)
    of_study = [factor for factor in factors if factor.is_the_studys]
    by_state: dict[tuple[bool, ...], list[frozenset[str]]] = {}
    for changed in _combinations([factor.name for factor in factors]):
        by_state.setdefault(tuple(factor.name in changed for factor in of_study), []).append(changed)
    files, refused = [], list[str]()
    for state, several in sorted(by_state.items()):
        common = between(one, two, [factor for factor, theirs in zip(of_study, state, strict=True) if theirs])
        rows, why = _rows(several, factors, (one, two), frame)
        refused += why
        if rows:
            study, blocks = _arranged(rows, ablations(rows, factors, one, two), common, frame)
            shared = tuple(
                f"{factor.name} {factor.other if changed else factor.this} as in {OTHER if changed else THIS}"
                for factor, changed in zip(of_study, state, strict=True)
            )
            files.append(Proposed(study, blocks, shared, common))
    if not files:
        raise Unsayable(refused[0])
    return Proposal(tuple(factors), tuple(files), tuple(refused))


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


@dataclass(frozen=True)
class _Frame:
    """What a study gives to all of its rows, but for what varies between files."""

    before: Mapping[str, Arm]
    after: tuple[str, ...]
    evaluations: int
    """Of the rows before."""
    budget: Budget
    seeds: int


def _frame(this: Trial, around: Around) -> _Frame:
    """Raises Unsayable."""
    before = {
        each.name: _arm(values_of(each.trial, around.own), each.after, this.threads, frozenset())
        for each in around.before
    }
    # A row whose steps do nothing is evaluated once, whatever the others of its study are.
    evaluations = max([1, *(each.trial.evaluations for each in around.before)])
    return _Frame(before, around.after, evaluations, replace(around.budget, cpus=this.threads), around.seeds)


def _rows(
    several: Sequence[frozenset[str]], factors: Sequence[Factor], ends: tuple[Values, Values], frame: _Frame
) -> tuple[list[Row], list[str]]:
    """The rows of these combinations, each under a name of its own, and which no study takes, with why."""
    varied = frozenset(key for factor in factors for key in factor.keys)
    rows, refused = [], []
    for changed in several:
        values = between(*ends, [factor for factor in factors if factor.name in changed])
        name = named(changed, factors)
        try:
            row = Row(name, _arm(values, frame.after, frame.budget.cpus, varied), changed)
            _study([row], name, values, frame)
        except ValueError as error:
            refused.append(f"{name}: {one_line(error)}")
        else:
            rows.append(row)
    return rows, refused


def _arm(values: Values, after: tuple[str, ...], threads: int, varied: Collection[str]) -> Arm:
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


def _arranged(
    rows: Sequence[Row], blocks: Sequence[Row | Ablated], values: Values, frame: _Frame
) -> tuple[Study, tuple[Row | Ablated, ...]]:
    """The study of these rows, to the first of them, as ablations where one study can hold these."""
    named_anew = rows_of(blocks)
    reference = next(row.name for row in named_anew if row.changed == rows[0].changed)
    try:
        study = _study(named_anew, reference, values, frame)
        check_parts(study.rows)
    except ValueError:  # as where a row that comes before has the name of one of an ablation
        return _study(rows, rows[0].name, values, frame), tuple(rows)
    return study, tuple(blocks)


def _study(rows: Sequence[Row], reference: str, values: Values, frame: _Frame) -> Study:
    """The study of these rows, as its file will make it. Raises ValueError."""
    shift, _ = shift_of({key.removeprefix("shift."): value for key, value in values.items() if key[:6] == "shift."})
    steps, evaluations = values["steps"], values["evaluations"]
    return Study(
        shift=shift,
        arms={**frame.before, **{row.name: row.arm for row in rows}},
        reference=reference,
        budget=replace(
            frame.budget,
            steps=steps,
            evaluations=evaluations if evaluations > 1 else min(frame.evaluations, steps),
        ),
        seeds=frame.seeds,
    )
