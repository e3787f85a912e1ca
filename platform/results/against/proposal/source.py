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
    design = (
        "Every combination is a row: what each setting does, and what settings do to each other, can be read off."
        if proposal.is_full
        else "Rows are this with one setting as in the other, and the other with one as in this."
    )
    paragraphs = [
        question,
        f"this is {ends[0]}; other is {ends[1]}. Between them: {factors}. {design}",
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
    words = ["Arm", "Budget", "Study", *(["Recipe"] if _shared(study) else [])]
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
    arms = [line for name, arm in study.arms.items() for line in _row(name, arm, shared)]
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
    values = {field: value for field, value in arm.fields.items() if field not in shared}
    ending = f".on(cpus={arm.share.cpus})" if arm.share else ""
    ending += f".after({', '.join(map(_said, arm.follows))})" if arm.follows else ""
    methods = [method.__name__ for method in arm.methods]
    fields = [f"{field}={_said(value)}" for field, value in values.items()]
    line = f"{2 * STEP}{_said(name)}: Arm({', '.join([*methods, *fields])}){ending},"
    if len(line) <= COLUMNS:
        return [line]
    return [
        f"{2 * STEP}{_said(name)}: Arm(",
        *(f"{3 * STEP}{each}," for each in (*methods, *fields)),
        f"{2 * STEP}){ending},",
    ]


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
    """A value as Python writes it: a constant, or the call that makes it."""
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
