"""Effects of ablations as a section of a Markdown page."""

import math

from platform.results.ablation.effects import Ablation, Effect, ablations
from platform.results.report import wording
from platform.results.report.page.text import bullets, escaped, rows
from platform.results.table import Table

NUMERALS = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")


def effects(table: Table) -> list[str]:
    """What each part is worth, largest first, and how to read it; nothing for a study without an ablation."""
    parts = []
    for ablation in ablations(table):
        aliased = any(effect.contrast.aliases for effect in ablation.effects)
        head = ("effect", "Δ mIoU", "p", "seeds", *(["together with"] if aliased else []))
        cells = [(*_numbers(effect), *([_aliases(effect)] if aliased else [])) for effect in ablation.by_size]
        names = [escaped(effect.contrast.name) for effect in ablation.by_size]
        parts += [f"## Ablation of {escaped(ablation.name)}: {escaped(ablation.design)}"]
        parts += [rows(head, names, cells), bullets(reading(ablation))]
    return parts


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
    if all(math.isnan(effect.miou_ci) for effect in ablation.effects):
        return "A single seed has no interval: do not rank these effects."
    return (
        "± is the half-width of the 95 % Student-t interval over seeds of what each seed's own rows give; bold where "
        f"it excludes 0. p is that of the paired t-test, by Holm's correction for all {len(ablation.effects)} effects."
    )


def _numbers(effect: Effect) -> tuple[str, str, str]:
    text = wording.plus_minus(effect.miou, effect.miou_ci, "+")
    return f"**{text}**" if effect.excludes_zero else text, probability(effect.p), str(effect.seeds)


def probability(p: float) -> str:
    """A p-value in two digits: `0.034`, `< 0.001`."""
    return wording.NONE if math.isnan(p) else "\\< 0.001" if p < 0.001 else f"{p:.2g}" if p < 0.995 else "1"


def _aliases(effect: Effect) -> str:
    return escaped(" ".join(effect.contrast.aliases)) or wording.NONE
