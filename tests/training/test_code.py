"""What of the code a trial's id depends on."""

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from platform.methods import FDA, SourceOnly
from platform.records import provenance
from platform.training import code as training
from platform.training.code import code_with, training_code

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


def test_the_files_that_decide_no_number_are_there_and_no_part_of_an_identity() -> None:
    found = [set(provenance.package().glob(pattern)) for pattern in training.DECIDES_NO_NUMBER]
    assert all(found)
    named = set().union(*found)
    assert named.isdisjoint(training.training_files())


@pytest.mark.parametrize("change", SAME)
def test_a_study_file_may_change_around_its_method(tmp_path: Path, change: str) -> None:
    assert code(tmp_path, "before", OWN) == code(tmp_path, "after", OWN.replace(*SAME[change]))


@pytest.mark.parametrize("change", OTHER)
def test_what_the_method_means_decides(tmp_path: Path, change: str) -> None:
    assert code(tmp_path, "before", OWN) != code(tmp_path, "after", OWN.replace(*OTHER[change]))


def test_methods_of_the_package_share_a_code() -> None:
    assert training_code(FDA) == training_code(SourceOnly)
    assert len(training_code(FDA)) == 12


# Of the package itself


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package, whose code is the one that counts."""
    copy = tmp_path / "platform"
    shutil.copytree(provenance.package(), copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(training, "package", lambda: copy)
    return copy


def code_now() -> str:
    """The code as it lies on the disk now, whatever was remembered."""
    training._packages_meanings.cache_clear()
    try:
        return code_with.__wrapped__("")
    finally:
        training._packages_meanings.cache_clear()


def replaced(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def test_no_id_is_made_without_the_package(package: Path) -> None:
    """A cleaner may delete a run's copy: methods that are asked for afterwards have the code that was there before."""
    before = code_with("one")
    shutil.rmtree(package)
    assert code_with("another") != before
    with pytest.raises(FileNotFoundError, match=str(package)):
        code_now()


@pytest.mark.parametrize("room", ["methods", "networks", "training"])
@pytest.mark.parametrize("folder", [".", "family", "family/of/its/own"])
def test_every_file_below_what_trains_counts(package: Path, room: str, folder: str) -> None:
    before = code_now()
    file = package / room / folder / "another.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("WEIGHT = 1.0\n")
    added = code_now()
    assert added != before
    file.write_text("WEIGHT = 2.0\n")
    assert code_now() not in (before, added)


DECIDES = {
    "a method": ("methods/translation/fda.py", "return", "return +"),
    "which splits are evaluated": (
        "training/evaluation.py",
        "run, splits.oracle.val",
        "run, splits.source_val",
    ),
    "what evidence is kept": ("training/evidence.py", "NOISE = 16", "NOISE = 17"),
    "which metrics are reported": ("training/evaluation.py", "source.accuracy", "source.miou"),
    "how many predictions are kept": ("training/evaluation.py", "KEPT = 4", "KEPT = 5"),
    "what a metric is": ("scores/metrics.py", "np.exp(", "np.log("),
    "the order of the images": ("training/recipe.py", ".permutation(length)", ".permutation(length)[::-1]"),
    "which of them a step has": ("training/data/order.py", "step * self.recipe.batch,", "step + self.recipe.batch,"),
    "which labels of the target are granted": ("shifts/few.py", "// number for", "// (number + 1) for"),
    "which pixels are void": ("shifts/labels.py", "VOID = 255", "VOID = 254"),
    "where random numbers come from": ("shifts/randomness.py", "return ", "return 1 + "),
}
DECIDES_NOTHING = {
    "a threshold of health": ("search/health.py", "FEWEST_CLASSES = 1.5", "FEWEST_CLASSES = 1.6"),
    "what Ray is told": ("running/worker.py", "gc.freeze()", "gc.collect()"),
    "a comment": ("training/run.py", "# One scale for all players", "# A scale for all players"),
    "a docstring": ("training/evaluation.py", '"""Images that the network segments at a time."""', '"""Images."""'),
    "the layout": ("training/evaluation.py", "KEPT = 4", "KEPT = (\n    4\n)"),
    "an import": ("training/data/batches.py", "import torch\n", "import json\nimport torch\n"),
}


@pytest.mark.parametrize("change", DECIDES)
def test_what_trains_and_evaluates_decides(package: Path, change: str) -> None:
    before = code_now()
    file, *words = DECIDES[change]
    replaced(package / file, words[0], words[1])
    assert code_now() != before


@pytest.mark.parametrize("change", DECIDES_NOTHING)
def test_what_neither_trains_nor_evaluates_decides_nothing(package: Path, change: str) -> None:
    before = code_now()
    file, *words = DECIDES_NOTHING[change]
    replaced(package / file, words[0], words[1])
    assert code_now() == before


def test_a_file_may_move(package: Path) -> None:
    before = code_now()
    (package / "methods" / "spectral").mkdir()
    (package / "methods" / "translation" / "fda.py").rename(package / "methods" / "spectral" / "fourier.py")
    replaced(package / "methods" / "__init__.py", "platform.methods.translation", "platform.methods.spectral")
    assert code_now() == before
