"""Whatever is saved while a study runs: the code that a trial's id names is the code that trained it."""

import inspect
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import IO

import psutil
import pytest

from platform.methods import SourceOnly
from platform.records import provenance
from platform.running import worker
from platform.running.workers import code
from platform.running.workers.code import Code, Edited, taken, users_modules
from platform.running.workers.edits import Edits
from platform.training.assignment import Failure, UnfitNode
from tests.support import checkout
from tests.support.attempts import assignment, attempt
from tests.support.checkout import Checkout, ends, events
from tests.support.patience import PATIENCE

HELPER = "FACTOR = {factor}\n"
STUDY = """
from dataclasses import dataclass
from platform.methods import Method
from platform.methods.method import SEGMENTATION
from platform.networks import BiSeNet18
from platform.shifts import town
from platform.study import Arm, Budget, Study
import helper
{imports}
FACTOR = 1.0

@dataclass(frozen=True)
class Own(Method):
    def losses(self, step):
        {within}
        return {{SEGMENTATION: FACTOR * helper.FACTOR * step.prediction.logits.square().mean()}}

study = Study(
    shift=town(size=(32, 64), source_images=(8, 3), target_images=(8, 3, 3)),
    arms={{"own": Arm(Own, network=BiSeNet18(width=0.125))}},
    reference="own",
    budget=Budget(steps=6, evaluations=2),
    seeds=1,
)
"""
TOPS = ("mylab", "platform")
STUDY_FILE = provenance.ROOT / "studies" / "quickstart.py"


def study(imports: str = "", within: str = "pass") -> str:
    return STUDY.format(imports=imports, within=within)


def written(folder: Path, cache: Path) -> Checkout:
    """A checkout with a study whose method needs a helper on the user's PYTHONPATH, in a file read beside it."""
    made = checkout.make(folder / "checkout", cache)
    helpers = folder / "helpers"
    helpers.mkdir()
    (helpers / "helper.py").write_text(
        "from pathlib import Path\nFACTOR = float(Path(__file__).with_name('factor.txt').read_text())\n"
    )
    (helpers / "factor.txt").write_text("2.0")
    made.environment["PYTHONPATH"] = str(helpers)
    made.write("own.py", study())
    return made


@pytest.fixture
def made(tmp_path: Path, cache: Path) -> Checkout:
    """Such a checkout for a test alone."""
    return written(tmp_path, cache)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> dict[str, list[object]]:
    """The numbers of the study while which nothing is saved."""
    made = written(tmp_path_factory.mktemp("undisturbed"), cache)
    code, output = made.study("studies/own.py")
    assert code == 0, output
    return numbers(made.root)


def numbers(root: Path) -> dict[str, list[object]]:
    return {
        trial: [line["confusions"] for line in lines if line["event"] == "report"]
        for trial, lines in events(root).items()
    }


def read_until(output: IO[str], sign: str) -> str:
    """What a command prints up to a line that holds the sign."""
    read = ""
    for line in output:
        read += line
        if sign in line:
            return read
    raise AssertionError(read)


def break_everything(root: Path, helpers: Path) -> None:
    """Save every file of the package, the study and the helper with something that raises where it is imported."""
    for file in [*(root / "platform").rglob("*.py"), root / "studies" / "own.py", helpers / "helper.py"]:
        file.write_text("raise SystemExit('this is the code of after')\n")
    shutil.rmtree(root / "platform" / "results")


def change_the_meaning(root: Path, helpers: Path) -> None:
    """Save what trains so that it still works and gives other numbers."""
    (helpers / "helper.py").write_text("FACTOR = 5.0\n")
    own = root / "studies" / "own.py"
    own.write_text(own.read_text().replace("FACTOR = 1.0", "FACTOR = 7.0"))
    run = root / "platform" / "training" / "run.py"
    run.write_text(run.read_text().replace("images.to(self.device)", "0.5 * images.to(self.device)"))


@pytest.mark.parametrize("edit", [break_everything, pytest.param(change_the_meaning, marks=pytest.mark.thorough)])
def test_what_is_saved_during_a_run_has_no_effect_and_is_said(
    edit: Callable[[Path, Path], None], made: Checkout, tmp_path: Path, undisturbed: dict[str, list[object]]
) -> None:
    process = made.start("studies/own.py")
    assert process.stdout is not None
    # Before Ray has started: every worker imports after the edit, and so does the driver what makes the table.
    began = read_until(process.stdout, "cost")
    edit(made.root, tmp_path / "helpers")
    rest, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, began + rest
    assert "changed: this run goes on with the code it began with, the next takes the new" in " ".join(rest.split())
    assert numbers(made.root) == undisturbed
    assert all(numbers(made.root).values())
    assert (made.root / "results" / "own" / "table.md").is_file()


def test_what_is_imported_only_while_trials_train_is_refused(made: Checkout, tmp_path: Path) -> None:
    (tmp_path / "helpers" / "late.py").write_text("")
    file = made.write("own.py", study("import importlib", "getattr(importlib, 'import' + '_module')('la' + 'te')"))
    # Whoever goes on from a checkpoint imports nothing, and is refused all the same.
    for _ in range(2):
        ended, output = made.study(file)
        assert ended == 1, output
    assert not any(numbers(made.root).values())
    assert {end["reason"] for end in ends(made.root, "own")} == {
        "modules must be imported where a study file begins, so that a run takes their code once, got "
        f"{tmp_path}/helpers/late.py, which is imported while trials train; move that import"
    }


# The copy


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / "private"))
    return tmp_path / "private"


@pytest.fixture
def mylab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of the user's, imported, with data and an archive of a size that nobody copies."""
    folder = tmp_path / "home" / "mylab"
    (folder / "losses").mkdir(parents=True)
    (folder / "weights").mkdir()
    (folder / "__init__.py").write_text("from mylab.losses import entropy\n")
    (folder / "losses" / "__init__.py").write_text("")
    (folder / "losses" / "entropy.py").write_text("LOG = 1\n")
    (folder / "losses" / "late.py").write_text("LATE = 1\n")
    (folder / "losses" / "palette.json").write_text("{}")
    (folder / "weights" / "large.bin").write_bytes(bytes(2**20 + 1))
    (folder / "again").symlink_to(folder)
    (folder / ".#lock").symlink_to("user@host.1234")
    monkeypatch.syspath_prepend(folder.parent)
    __import__("mylab")
    monkeypatch.setattr(code, "_process_start", time.time)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "mylab"]:
        del sys.modules[name]


def test_a_copy_holds_the_package_and_the_users_modules_and_links_their_data(place: Path, mylab: Path) -> None:
    with taken(STUDY_FILE, ships=False) as copied:
        assert copied.root.stat().st_mode & 0o777 == 0o700
        assert copied.root.parent == place
        copies = {
            path.relative_to(copied.root / "mylab").as_posix() for path in copied.originals if "mylab" in str(path)
        }
        assert copies == {"__init__.py", "losses/__init__.py", "losses/entropy.py", "losses/late.py"}
        package = {
            path.relative_to(copied.root) for path in copied.originals if path.is_relative_to(copied.root / "platform")
        }
        assert package == {path.relative_to(provenance.ROOT) for path in (provenance.ROOT / "platform").rglob("*.py")}
        assert (copied.root / "mylab" / "losses" / "palette.json").resolve() == mylab / "losses" / "palette.json"
        assert (copied.root / "mylab" / "weights").resolve() == mylab / "weights"
        (mylab / "losses" / "late.py").write_text("raise SystemExit")
        from mylab.losses import late  # type: ignore[import-not-found]

        assert late.LATE == 1, "this process imports from the copy, too"
        assert copied.edited() == [mylab / "losses" / "late.py"]
        trace = f'File "{copied.root}/mylab/losses/late.py", line 1, File "{copied.root}/platform/study.py"'
        assert copied.with_original_paths(trace) == (
            f'File "{mylab}/losses/late.py", line 1, File "{provenance.ROOT}/platform/study.py"'
        )
    assert not copied.root.exists()
    assert provenance.package() == provenance.ROOT / "platform"
    assert str(copied.root) not in sys.path


def test_the_source_of_a_module_is_what_was_copied(place: Path, mylab: Path) -> None:
    """An id may be needed long after the copy was taken, when another text lies there."""
    module, file = sys.modules["mylab.losses.entropy"], mylab / "losses" / "entropy.py"
    with taken(STUDY_FILE, ships=False):
        file.write_text("LOG = 22\n")
        assert inspect.getsource(module) == "LOG = 1\n"
    assert inspect.getsource(module) == "LOG = 22\n"


def test_a_copy_for_a_cluster_holds_small_files_and_no_links(place: Path, mylab: Path) -> None:
    with taken(STUDY_FILE, ships=True) as copied:
        assert (copied.root / "mylab" / "losses" / "palette.json").read_text() == "{}"
        assert not (copied.root / "mylab" / "weights").exists()
        assert [path for path in copied.root.rglob("*") if path.is_symlink()] == []


def test_what_was_saved_between_import_and_copy_is_refused(
    place: Path, mylab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(code, "_process_start", lambda: time.time() - 60)
    os.utime(mylab / "losses" / "entropy.py", (1, 1))
    with (
        pytest.raises(Edited, match=r"mylab/\S+ was saved while the study started; run the same command again"),
        taken(STUDY_FILE, ships=False),
    ):
        pass


def test_a_clock_that_was_set_back_refuses_no_file(place: Path, mylab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # So far that no file was saved then.
    then = time.time() - 10 * 365 * 86400
    monkeypatch.setattr(code, "_process_start", lambda: then - 100)
    monkeypatch.setattr(time, "time", lambda: then)
    with taken(STUDY_FILE, ships=False) as copied:
        assert copied.edited() == []


def test_the_start_of_this_process_is_known() -> None:
    started = code._process_start()
    assert started < time.time()
    # Psutil's is known to a second.
    assert started == pytest.approx(psutil.Process().create_time(), abs=1.1)


def test_libraries_are_nobodys_own_modules(mylab: Path) -> None:
    names = {place.name for place in users_modules()}
    assert "mylab" in names
    assert not names & {"torch", "ray", "platform", "numpy", "json.py", "os.py", "study.py"}
    assert mylab not in users_modules(elsewhere_than=mylab.parent)


# Its workers


def test_a_worker_that_imports_other_code_trains_nothing(tmp_path: Path) -> None:
    assigned = assignment(tmp_path)
    assert worker.other_code(attempt(assigned)) is None
    other = replace(assigned.ask, trial=replace(assigned.ask.trial, code="0123456789ab"))
    refused = worker.other_code(attempt(replace(assigned, ask=other)))
    assert isinstance(refused, UnfitNode)
    assert "is not what the study began with" in refused.reason
    # A study file's own method is known by what its file says.
    assert isinstance(worker.other_code(attempt(replace(assigned, definition="another"))), UnfitNode)


def test_a_worker_names_what_was_imported_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imports = worker.Imports()
    assert imports.refusal() is None
    late = ModuleType("late")
    late.__file__ = str(tmp_path / "late.py")
    (tmp_path / "late.py").touch()
    monkeypatch.setitem(sys.modules, "late", late)
    refusal = imports.refusal()
    assert isinstance(refusal, Failure)
    assert f"got {tmp_path}/late.py, which is imported while trials train; move that import" in refusal.reason


def test_edits_are_said_once_for_each_file(tmp_path: Path) -> None:
    said: list[str] = []
    files = [tmp_path / name for name in ("a.py", "b.py", "c.py")]
    copies = {tmp_path / f"copy of {file.name}": file for file in files}
    for copy, file in copies.items():
        file.write_text("1")
        shutil.copy2(file, copy)
    edits = Edits(Code(tmp_path, copies), said.append)
    edits.look()
    assert said == []
    files[0].write_text("10")
    edits.look()
    edits.look()
    assert said == [f"{files[0]} has changed: this run goes on with the code it began with, the next takes the new"]
    files[1].unlink()
    files[2].write_text("")
    edits.look()
    assert said[1:] == [
        f"{files[1]} and 1 more files have changed: "
        "this run goes on with the code it began with, the next takes the new"
    ]


def test_an_assignment_names_the_code_of_its_method(tmp_path: Path) -> None:
    assert assignment(tmp_path, SourceOnly()).definition == ""
