"""What differs as the parts of one arm: rows of a proposal as ablations, so that its table says what each is worth.

The arm with all parts is one end, and without a part it has what the other end has: a part is a value, `beta=0.1`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from platform.design.ablation.ablate import ablate
from platform.design.ablation.designs import Design, FullFactorial, LeaveOneOut
from platform.design.arm import Arm
from platform.methods.method import Method
from platform.results.against.proposal.factors import OTHER, THIS, Factor, Values, setting
from platform.training.recipe import Recipe

Methods = tuple[type[Method], ...]


@dataclass(frozen=True)
class Row:
    """A row that a study file may have."""

    name: str
    arm: Arm
    changed: frozenset[str]
    """The factors that are as the other has them."""


@dataclass(frozen=True)
class Part:
    """A setting as one end has it, as `ablate` takes it."""

    name: str
    change: Mapping[Any, Any]
    """What the arm is without it: as the other end has it."""


@dataclass(frozen=True)
class Ablated:
    """An ablation as a study file says it: `ablate(arm, parts, design, name=name)`."""

    name: str
    arm: Arm
    parts: tuple[Part, ...]
    design: Design
    rows: tuple[Row, ...]
    """What it gives."""


def rows_of(blocks: Iterable[Row | Ablated]) -> tuple[Row, ...]:
    """The rows, those of ablations in their order."""
    return tuple(row for block in blocks for row in (block.rows if isinstance(block, Ablated) else (block,)))


def ablations(rows: Sequence[Row], factors: Sequence[Factor], one: Values, two: Values) -> list[Row | Ablated]:
    """The rows of one study file between two ends, as ablations where they are some; the others as they are.

    Rows that differ in what is no part, as the threads of a trial, are of different ablations.
    """
    from_this = {factor.name: part for factor in factors if (part := _part(factor, THIS, one, two)) is not None}
    from_other = {factor.name: part for factor in factors if (part := _part(factor, OTHER, two, one)) is not None}
    names = frozenset({*from_this, *from_other})
    alike: dict[frozenset[str], dict[frozenset[str], Row]] = {}
    for row in rows:
        alike.setdefault(row.changed - names, {})[row.changed & names] = row
    ends = {frozenset[str](): from_this, names: from_other}
    return [block for some in alike.values() for block in _blocks(some, ends)]


def _blocks(
    rows: Mapping[frozenset[str], Row], ends: Mapping[frozenset[str], Mapping[str, Part]]
) -> list[Row | Ablated]:
    """Rows that differ in parts alone, by what is as the other has it: one ablation, else one about either end.

    `ends` are the rows that may have all parts, and by factor the parts that each of them has.
    """
    left, found = dict(rows), list[Ablated]()
    for design in (FullFactorial(), LeaveOneOut()):
        for whole, parts in ends.items():
            every = isinstance(design, FullFactorial)
            wanted = {whole, *(rows if every else (whole ^ {name} for name in parts))}
            if parts and wanted <= left.keys() and (not every or len(rows) == 2 ** len(parts)):
                some = {changed: left.pop(changed) for changed in rows if changed in wanted}
                made = _ablated(design, whole, some, parts)
                if made is None:
                    left |= some
                else:
                    found.append(made)
    order = [row.changed for row in rows.values()]
    return sorted([*left.values(), *found], key=lambda block: min(order.index(row.changed) for row in rows_of([block])))


def _ablated(
    design: Design, whole: frozenset[str], rows: Mapping[frozenset[str], Row], parts: Mapping[str, Part]
) -> Ablated | None:
    """The ablation of a row that gives just these rows; None where there is none, as of some of the combinations."""
    arm, name = rows[whole].arm, rows[whole].name
    try:
        made = ablate(arm, {part.name: part.change for part in parts.values()}, design, name=name)
    except ValueError:  # as for an arm that trains nothing without the part, and takes no learning rate then
        return None
    found = []
    for row, without in made.items():
        assert without.cell is not None
        absent = {factor for factor, part in parts.items() if not dict(without.cell.parts)[part.name]}
        plain = rows.get(whole ^ absent)
        if plain is None or not _same(without, plain.arm):
            return None
        found.append(Row(row, without, plain.changed))
    return Ablated(name, arm, tuple(parts.values()), design, tuple(found)) if len(found) == len(rows) else None


def _part(factor: Factor, side: str, whole: Values, bare: Values) -> Part | None:
    """A factor as a part of what has it as one side does; None where it is none.

    Such are those of a study, and what cannot be taken away: a method that is only on the other side, another order.
    """
    if not factor.is_an_arms:
        return None
    change: dict[Any, Any] = {}
    for key in (key for key in dict.fromkeys((*whole, *bare)) if key in factor.keys):
        if key == "methods":
            stands = _replaced(whole[key], bare[key])
            if stands is None:
                return None
            change |= stands
        elif key in bare:
            change[key.partition(".")[2]] = bare[key]
    return Part(setting(factor, side), change)


def _replaced(whole: Methods, bare: Methods) -> dict[type[Method], type[Method] | None] | None:
    """What stands in the place of each method that is gone, if anything; None where that does not give the others."""
    new = iter([method for method in bare if method not in whole])
    stands = {method: next(new, None) for method in whole if method not in bare}
    given = [stands.get(method, method) for method in whole]
    return stands if tuple(method for method in given if method is not None) == bare else None


def _same(one: Arm, other: Arm) -> bool:
    """Whether two arms have the same trials in a study."""
    seen = [(arm.filled({}, Recipe()), arm.share, arm.follows) for arm in (one, other)]
    return seen[0] == seen[1]
