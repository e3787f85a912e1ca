"""Effects of ablations as sections of a Markdown page."""

from platform.results.ablation.effects import Ablation, ablations
from platform.results.report.page.text import bold, bullets, escaped, rows
from platform.results.report.sections import effects
from platform.results.table import Table


def of_ablations(table: Table) -> list[str]:
    """What each part is worth, largest first, and how to read it; nothing for a study without an ablation."""
    parts = []
    for ablation in ablations(table):
        parts += [f"## Ablation of {escaped(ablation.name)}: {escaped(ablation.design)}"]
        if ablation.is_path:
            parts += [_steps(ablation), bullets(effects.reading(ablation))]
            continue
        aliased = any(effect.contrast.aliases for effect in ablation.effects)
        head = ("effect", *effects.HEAD, *([effects.ALIASES] if aliased else []))
        cells = [
            (*effects.cells(effect.worth, bold), *([escaped(effects.aliases(effect))] if aliased else []))
            for effect in ablation.in_order
        ]
        names = [escaped(effect.contrast.name) for effect in ablation.in_order]
        parts += [rows(head, names, cells), bullets(effects.reading(ablation))]
        if ablation.path:
            parts += [f"### {escaped(ablation.name)} part by part", _steps(ablation), effects.of_the_path(ablation)]
    return parts


def _steps(ablation: Ablation) -> str:
    """The steps of its path, in their order."""
    cells = [(*effects.cells(step.worth, bold), escaped(step.row)) for step in ablation.path]
    return rows(("part put in", *effects.HEAD, "gives"), [escaped(step.part) for step in ablation.path], cells)
