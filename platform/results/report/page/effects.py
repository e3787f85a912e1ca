"""Effects of ablations as a section of a Markdown page."""

import math

from platform.results.ablation.effects import Ablation, Effect, ablations
from platform.results.comparison import Difference
from platform.results.lines import NONE, p_value
from platform.results.report import wording
from platform.results.report.page.text import bold, bullets, escaped, rows
from platform.results.statistics.significance import LEVEL
from platform.results.table import Table

NUMERALS = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")


def of_ablations(table: Table) -> list[str]:
    """What each part is worth, largest first, and how to read it; nothing for a study without an ablation."""
    parts = []
    for ablation in ablations(table):
        aliased = any(effect.contrast.aliases for effect in ablation.effects)
        head = ("effect", "Δ mIoU", "p", "seeds", *(["together with"] if aliased else []))
        cells = [(*_numbers(effect.worth), *([_aliases(effect)] if aliased else [])) for effect in ablation.by_size]
        names = [escaped(effect.contrast.name) for effect in ablation.by_size]
        parts += [f"## Ablation of {escaped(ablation.name)}: {escaped(ablation.design)}"]
        parts += [rows(head, names, cells), bullets(reading(ablation)), *_path(ablation)]
    return parts


def _path(ablation: Ablation) -> list[str]:
    """The steps of its path, in their order; nothing where it has none."""
    if not ablation.path:
        return []
    cells = [(*_numbers(step.worth), escaped(step.row)) for step in ablation.path]
    return [
        f"### {escaped(ablation.name)} part by part",
        rows(("part put in", "Δ mIoU", "p", "seeds", "gives"), [escaped(step.part) for step in ablation.path], cells),
        "From the row without any part to the row with all: each step puts in the part that helps most beside those "
        "that are there. It was picked for its gain, which is therefore exaggerated; p is adjusted for all parts that "
        "were tried at any step.",
    ]


def reading(ablation: Ablation) -> list[str]:
    """How effects are to be read, one sentence or two each."""
    return [
        _what(ablation),
        *([_resolved(ablation.resolution)] if ablation.resolution is not None else []),
        *_values(ablation),
        _interval(ablation),
    ]


def _what(ablation: Ablation) -> str:
    several = len(ablation.rows)
    if any(len(effect.contrast.weights) > 2 for effect in ablation.effects):
        return (
            f"An effect is the mean mIoU of the rows with a part less that of those without, over {several} rows; an "
            "interaction, a x b, is half of what the effect of the one is more where the other is."
        )
    return (
        "What a part is worth: the row with it less the row without, which differ in nothing else. What it would be "
        "worth beside other parts these rows do not say."
    )


def _resolved(resolution: int) -> str:
    numeral = NUMERALS[resolution]
    told = {
        3: "effects cannot be told from interactions of two parts",
        4: "effects can be told from interactions of two parts, and these not from each other",
    }.get(resolution, "effects and interactions of two parts can be told from each other")
    return f"The fraction is of resolution {numeral}: {told}. What cannot be told apart stands in one line, as a sum."


def _values(ablation: Ablation) -> list[str]:
    if ablation.retuned is None:
        return []
    if ablation.retuned:
        return ["Tuned again: each row has searched its ranges for itself, with the same budget."]
    return [
        f"At the tuned point: all rows take the values that the search of {ablation.name} has chosen, which may suit "
        "it better than the others."
    ]


def _interval(ablation: Ablation) -> str:
    if all(math.isnan(effect.worth.miou_ci) for effect in ablation.effects):
        return "A single seed has no interval: do not rank these effects."
    return (
        "± is the half-width of the 95 % Student-t interval over seeds of what each seed's own rows give; p is that of "
        f"the paired t-test, adjusted by Holm's method for all {len(ablation.effects)} effects. Bold where p is at "
        f"most {LEVEL:g}, and the effect one that these seeds can find{_findable(ablation)}."
    )


def _findable(ablation: Ablation) -> str:
    """The smallest that they can, where it is the same for all."""
    least = {f"{effect.worth.detectable:.3f}" for effect in ablation.effects}
    return f", {least.pop()} or more" if len(least) == 1 else ""


def _numbers(worth: Difference) -> tuple[str, str, str]:
    text = wording.plus_minus(worth.miou, worth.miou_ci, "+")
    return bold(text) if worth.told else text, p_value(worth.p), str(worth.seeds)


def _aliases(effect: Effect) -> str:
    return escaped(" ".join(effect.contrast.aliases)) or NONE
