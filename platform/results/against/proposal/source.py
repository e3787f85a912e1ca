"""A proposal as study files: texts of constants and of calls that study files make, and nothing else."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from platform.design.arm import Arm
from platform.design.study import Study
from platform.networks.hyperparameters import field_names, field_values
from platform.networks.network import Architecture
from platform.records.plain import legible
from platform.results.against.proposal.design import Proposal, Proposed
from platform.results.against.proposal.factors import OTHER, THIS
from platform.results.against.proposal.parts import Ablated, Part
from platform.results.against.proposal.setup import Call, shift_of
from platform.training.recipe import Recipe

COLUMNS = 120
"""Of a line."""
STEP = "    "


def sources(
    proposal: Proposal, question: str, ends: tuple[str, str], unsaid: Sequence[str]
) -> list[tuple[str, Proposed]]:
    """The files' texts; `ends` say what both sides are, and `unsaid` what else differs, which no study file can say."""
    several = len(proposal.files) > 1
    return [
        (_file(proposal, file, (number, len(proposal.files)) if several else None, question, ends, unsaid), file)
        for number, file in enumerate(proposal.files, start=1)
    ]


def _file(
    proposal: Proposal,
    file: Proposed,
    number: tuple[int, int] | None,
    question: str,
    ends: tuple[str, str],
    unsaid: Sequence[str],
) -> str:
    factors = "; ".join(f"{factor.name}, {factor.this} or {factor.other}" for factor in proposal.factors)
    paragraphs = [
        question,
        f"this is {ends[0]}; other is {ends[1]}. Between them: {factors}. {_rows(proposal, file)}",
        *([f"File {number[0]} of {number[1]}: {'; '.join(file.shared)}."] if number else []),
        "Nothing is searched: each row has the values that it says. Both ends are trials on record, which are not "
        "trained again where the code that trains has not changed and their results lie in the same folder.",
    ]
    docstring = "\n\n".join(textwrap.fill(_words(paragraph), COLUMNS) for paragraph in paragraphs)
    remarks = [*(f"left out, since no study takes it: {said}" for said in proposal.refused), *unsaid]
    comments = [line for remark in remarks for line in _comment(remark)]
    if comments:
        comments = ["# What differs besides, and this file cannot say:", *comments, ""]
    return "\n".join([f'"""{docstring}', '"""', "", *comments, *_imports(file), "", *_study(file)]) + "\n"


def _rows(proposal: Proposal, file: Proposed) -> str:
    """What the rows are, and which of them are the ends."""
    said = (
        "Every combination is a row: what each setting does, and what settings do to each other, can be read off."
        if proposal.is_full
        else "Rows are this with one setting as in the other, and the other with one as in this."
    )
    if any(isinstance(block, Ablated) for block in file.blocks):
        said += " The table says what each setting is worth: a row without it has the other end's."
    whole = frozenset(factor.name for factor in proposal.factors)
    ends = ((THIS, frozenset[str]()), (OTHER, whole))
    found = [(row, end) for row in file.rows for end, changed in ends if row.changed == changed]
    return " ".join([said, *(f'The row "{row.name}" is {end}.' for row, end in found if row.name != end)])


def _words(text: str) -> str:
    """A text that neither ends the quotation marks around it nor means anything but itself."""
    return legible(" ".join(text.split())).replace("\\", "/").replace('"', "'")


def _comment(text: str) -> list[str]:
    lines = textwrap.wrap(legible(" ".join(text.split())), COLUMNS - 4)
    return [f"# {'- ' if not number else '  '}{line}" for number, line in enumerate(lines)]


def _imports(file: Proposed) -> list[str]:
    study = file.study
    used = [method.__name__ for arm in study.arms.values() for method in arm.methods]
    described = [value for arm in study.arms.values() for value in arm.fields.values()]
    networks = [type(value).__name__ for value in described if isinstance(value, Architecture)]
    _, call = _shift(file)
    nested = [each.function for _, each in call.named if isinstance(each, Call)]
    designs = [type(block.design).__name__ for block in file.blocks if isinstance(block, Ablated)]
    words = ["Arm", "Budget", "Study", *(["Recipe"] if _shared(study) else []), *designs]
    words += ["ablate"] if designs else []
    return [
        _import("platform.methods", used),
        *([_import("platform.networks", networks)] if networks else []),
        _import("platform.shifts", [call.function, *nested]),
        _import("platform.study", words),
    ]


def _import(module: str, names: Iterable[str]) -> str:
    # In ruff's order: classes in capitals, other classes, functions.
    listed = sorted(set(names), key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    return f"from {module} import {', '.join(listed)}"


def _study(file: Proposed) -> list[str]:
    study, shared = file.study, _shared(file.study)
    _, shift = _shift(file)
    budget = study.budget
    default = {"gpus": 0.0, "cpus": 1, "memory": 0.0, "silence": 6.0}
    spent = {"steps": budget.steps, "evaluations": budget.evaluations} | {
        name: getattr(budget, name) for name, value in default.items() if getattr(budget, name) != value
    }
    rows = {row.name for row in file.rows}
    arms = [line for name, arm in study.arms.items() if name not in rows for line in _row(name, arm, shared)]
    for block in file.blocks:
        arms += _ablation(block, shared) if isinstance(block, Ablated) else _row(block.name, block.arm, shared)
    recipe = [f"{STEP}recipe={_said(Call('Recipe', (), tuple(shared.items())))},"] if shared else []
    return [
        "study = Study(",
        f"{STEP}shift={_said(shift)},",
        f"{STEP}arms={{",
        *arms,
        f"{STEP}}},",
        f"{STEP}reference={_said(study.reference)},",
        f"{STEP}budget={_said(Call('Budget', (), tuple(spent.items())))},",
        f"{STEP}seeds={study.seeds},",
        *recipe,
        ")",
    ]


def _shift(file: Proposed) -> tuple[object, Call]:
    values = {key.removeprefix("shift."): value for key, value in file.values.items() if key.startswith("shift.")}
    return shift_of(values)


def _row(name: str, arm: Arm, shared: Mapping[str, Any]) -> list[str]:
    return _laid(2, f"{_said(name)}: Arm(", _given(arm, shared), f"){_carried(arm)},")


def _ablation(made: Ablated, shared: Mapping[str, Any]) -> list[str]:
    return [
        f"{2 * STEP}**ablate(",
        *_laid(3, "Arm(", _given(made.arm, shared), f"){_carried(made.arm)},"),
        f"{3 * STEP}{{",
        *(line for part in made.parts for line in _part(part)),
        f"{3 * STEP}}},",
        f"{3 * STEP}{type(made.design).__name__}(),",
        f"{3 * STEP}name={_said(made.name)},",
        f"{2 * STEP}),",
    ]


def _part(part: Part) -> list[str]:
    return _laid(4, f"{_said(part.name)}: {{", [f"{_said(key)}: {_said(to)}" for key, to in part.change.items()], "},")


def _given(arm: Arm, shared: Mapping[str, Any]) -> list[str]:
    """What an arm is made of: its methods, and its fields but for those that all rows share."""
    values = {field: value for field, value in arm.fields.items() if field not in shared}
    return [*map(_said, arm.methods), *(f"{field}={_said(value)}" for field, value in values.items())]


def _carried(arm: Arm) -> str:
    """What an arm has besides."""
    threads = f".on(cpus={arm.share.cpus})" if arm.share else ""
    return threads + (f".after({', '.join(map(_said, arm.follows))})" if arm.follows else "")


def _laid(depth: int, opening: str, items: Sequence[str], closing: str) -> list[str]:
    """A call or a mapping in one line, or in as many as it has items where it is too long."""
    line = f"{depth * STEP}{opening}{', '.join(items)}{closing}"
    if len(line) <= COLUMNS:
        return [line]
    return [f"{depth * STEP}{opening}", *(f"{(depth + 1) * STEP}{each}," for each in items), f"{depth * STEP}{closing}"]


def _shared(study: Study) -> dict[str, Any]:
    """What of the recipe all rows are given alike."""
    arms = list(study.arms.values())
    first = {name: value for name, value in arms[0].fields.items() if name in field_names(Recipe)}
    return {
        name: value
        for name, value in first.items()
        if all(name in arm.fields and arm.fields[name] == value for arm in arms)
    }


def _said(value: Any) -> str:
    """A value as Python writes it: a constant, a class, or the call that makes it."""
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, Architecture):
        default = field_values(type(value)())
        named = tuple((name, each) for name, each in field_values(value).items() if each != default[name])
        return _said(Call(type(value).__name__, (), named))
    if isinstance(value, Call):
        arguments = [*map(_said, value.arguments), *(f"{name}={_said(each)}" for name, each in value.named)]
        return f"{value.function}({', '.join(arguments)})"
    if isinstance(value, str):
        # As ruff has it, where that is no other text.
        plain = '"' not in value and "\\" not in repr(value)
        return f'"{value}"' if plain else repr(value)
    return repr(value)
