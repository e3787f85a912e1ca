"""What of the code a trial's id depends on."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from platform.methods import FDA, SourceOnly
from platform.training.code import training_code

OWN = '''"""A study with a method of its own."""
from dataclasses import dataclass
from platform.methods import SourceOnly
from platform.shifts import town
from platform.study import Arm, Budget, Study

SCALE = 2.0


def scaled(loss):
    """Larger."""
    return SCALE * loss


@dataclass(frozen=True, kw_only=True)
class Own(SourceOnly):
    def losses(self, step):
        return {name: scaled(loss) for name, loss in super().losses(step).items()}


arms = {"own": Arm(Own)}
study = Study(shift=town(), arms=arms, reference="own", budget=Budget(steps=4, evaluations=2), seeds=2)
'''


def loaded(folder: Path, name: str, text: str) -> ModuleType:
    path = folder / f"{name}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def code(folder: Path, name: str, text: str) -> str:
    try:
        return training_code(loaded(folder, name, text).Own)
    finally:
        sys.modules.pop(name, None)


SAME = {
    "another seed": ("seeds=2", "seeds=3"),
    "another arm": ('{"own": Arm(Own)}', '{"own": Arm(Own), "source only": Arm(SourceOnly)}'),
    "a comment": ("SCALE = 2.0", "# twice\nSCALE = 2.0"),
}
OTHER = {
    "its own body": ("super().losses(step).items()", "reversed(super().losses(step).items())"),
    "a function that it calls": ("return SCALE * loss", "return SCALE * loss + 0"),
    "a constant that this one reads": ("SCALE = 2.0", "SCALE = 3.0"),
    "where a name comes from": (
        "from platform.methods import SourceOnly",
        "from platform.methods import FDA as SourceOnly",
    ),
}


@pytest.mark.parametrize("change", SAME)
def test_a_study_file_may_change_around_its_method(tmp_path: Path, change: str) -> None:
    assert code(tmp_path, "before", OWN) == code(tmp_path, "after", OWN.replace(*SAME[change]))


@pytest.mark.parametrize("change", OTHER)
def test_what_the_method_means_decides(tmp_path: Path, change: str) -> None:
    assert code(tmp_path, "before", OWN) != code(tmp_path, "after", OWN.replace(*OTHER[change]))


def test_methods_of_the_package_share_a_code() -> None:
    assert training_code(FDA) == training_code(SourceOnly)
    assert len(training_code(FDA)) == 12
