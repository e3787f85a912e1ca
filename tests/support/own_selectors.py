"""Study files with a selector of the user's own, loaded as the command loads them."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from platform.commands.before.beside import load
from platform.commands.before.refusals import check_selector
from platform.design.loading import StudyFile
from platform.scores.evidence import Evidence
from platform.scores.selectors.judgement import judged
from platform.scores.selectors.selector import Selector

BEGINNING = '''"""Does a selector of one's own pick?"""

from dataclasses import dataclass

import numpy as np

from platform.methods import SourceOnly
from platform.networks import BiSeNet18
from platform.scores.selectors import Selector
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, LogUniform, Recipe, Study
'''
END = """
study = Study(
    shift=town(size=(64, 64), source_images=(8, 2), target_images=(8, 2, 2)),
    arms={"source only": Arm(SourceOnly, learning_rate=LogUniform(1e-3, 1e-1))},
    reference="source only",
    select=SELECT,
    search=ASHA(trials=2, grace=0.5, reduction=2, smoothing=1),
    budget=Budget(steps=4, evaluations=2),
    seeds=1,
    recipe=Recipe(network=BiSeNet18(width=0.125), batch=2),
)
"""


def of(body: str, parameters: str = "self, evidence", fields: str = "") -> str:
    """A class whose score is what these statements return."""
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    settings = "".join(f"    {line}\n" for line in fields.splitlines())
    head = "\n@dataclass(frozen=True, kw_only=True)\nclass Own(Selector):\n"
    return f"{head}{settings}    def score({parameters}):\n{lines}"


def study(selector: str, before: str = "", select: str = "Own()") -> str:
    """The text of a study that selects by a class `Own`, with code ahead of it."""
    return f"{BEGINNING}\n{before}\n{selector}\n{END.replace('SELECT', select)}"


@contextmanager
def loaded(folder: Path, text: str, beside: Mapping[str, str] | None = None) -> Iterator[StudyFile]:
    """A study file with modules beside it, all of which are forgotten again."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, helper in (beside or {}).items():
        (folder / name).write_text(helper, encoding="utf-8")
    file = folder / "own.py"
    file.write_text(text, encoding="utf-8")
    before = set(sys.modules)
    try:
        yield load(file)
    finally:
        for name in set(sys.modules) - before:
            if str(folder) in str(getattr(sys.modules[name], "__file__", None) or ""):
                del sys.modules[name]


def selector_of(file: StudyFile) -> Selector:
    """The study's own selector."""
    found = file.study.selector
    assert found is not None
    return found


def scored(folder: Path, text: str, candidates: list[Evidence], beside: Mapping[str, str] | None = None) -> list[float]:
    """What a study's own selector gives, which was loaded and tried as before a run."""
    with loaded(folder, text, beside) as file:
        check_selector(file.study)
        return judged(selector_of(file), candidates)
