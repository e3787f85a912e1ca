"""Effects of ablations as sections of a Markdown page."""

from platform.results.ablation.effects import Ablation, ablations
from platform.results.report.page.text import bold, bullets, escaped, rows
from platform.results.report.sections import effects
from platform.results.table import Table


def of_ablations(table: Table) -> list[str]:
    """What each part is worth, largest first, and how to read it; nothing for a study without an ablation."""
    parts = []
    for ablation in ablations(table):
        aliased = any(effect.contrast.aliases for effect in ablation.effects)
        head = ("effect", *effects.HEAD, *([effects.ALIASES] if aliased else []))
        cells = [
            (*effects.cells(effect.worth, bold), *([escaped(effects.aliases(effect))] if aliased else []))
            for effect in ablation.by_size
        ]
        names = [escaped(effect.contrast.name) for effect in ablation.by_size]
        parts += [f"## Ablation of {escaped(ablation.name)}: {escaped(ablation.design)}"]
        parts += [rows(head, names, cells), bullets(effects.reading(ablation)), *_path(ablation)]
    return parts


def _path(ablation: Ablation) -> list[str]:
    """The steps of its path, in their order; nothing where it has none."""
    if not ablation.path:
        return []
    cells = [(*effects.cells(step.worth, bold), escaped(step.row)) for step in ablation.path]
    return [
        f"### {escaped(ablation.name)} part by part",
        rows(("part put in", *effects.HEAD, "gives"), [escaped(step.part) for step in ablation.path], cells),
        effects.OF_THE_PATH,
    ]
