"""Parcels: what a study file defines is opened where nobody can import it; what is wrong with one is a failure."""

import copy
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import ray.cloudpickle

from platform.commands.before import beside
from platform.design.loading import StudyFileError
from platform.design.study import Study
from platform.methods import SourceOnly
from platform.records.provenance import ROOT
from platform.running.worker import TrialTrainable
from platform.running.workers.code import loaded_by_hand
from platform.running.workers.parcel import PARCEL, Parcel, Received, obstacle, packed
from platform.shifts.shift import Shift
from platform.training.assignment import Assignment
from tests.support import own_shift
from tests.support.attempts import (
    NODE,
    Unopenable,
    assignment,
    failure_of,
    numbers,
    process_as_it_was,
    report_of,
    sent,
    undisturbed,
    unopenable,
)

OPENED = """
import json, pickle, sys

received = [pickle.loads(bytes.fromhex(line)) for line in sys.stdin]
names = [parcel.name for parcel in received]
modules = {"helper", "study_own"} & sys.modules.keys()
first, second = (parcel.opened() for parcel in received)
splits = second.shift.open()
print(json.dumps({
    "names": names,
    "before": sorted(modules),
    "after": sorted({"helper", "study_own"} & sys.modules.keys()),
    "classes": [
        type(one) is type(other)
        for one, other in ((first.shift, second.shift), (first.methods.methods[0], second.methods.methods[0]))
    ],
    "mean": splits.target_adapt.pixels.mean(),
    "levels": second.shift.levels,
}))
"""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A study with a shift and a method of its own, and a helper beside it."""
    (tmp_path / "helper.py").write_text(own_shift.HELPER)
    (tmp_path / "own.py").write_text(own_shift.STUDY)
    return beside.load(tmp_path / "own.py").study


def assigned(folder: Path, study: Study, seed: int = 1) -> Assignment:
    methods, _ = study.row("mine").filled({})
    return replace(assignment(folder / "results", seed=seed), shift=study.shift, methods=methods)


def opened(made: Assignment) -> Any:
    parcel: Received = sent(made)[PARCEL]
    return parcel.opened()


def test_what_a_study_file_defines_is_opened_where_nobody_can_import_it(study: Study, tmp_path: Path) -> None:
    parcels = [pickle.dumps(Parcel(assigned(tmp_path, study, seed))) for seed in (1, 2)]
    told = subprocess.run(
        [sys.executable, "-c", OPENED],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])},
        input="\n".join(parcel.hex() for parcel in parcels),
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    said = json.loads(told.stdout)
    assert said["before"] == [], "Ray itself imports nothing of the user's"
    assert said["after"] == ["helper"], "the study file by value, what lies beside it by reference"
    assert said["classes"] == [True, True], "a worker's classes are the same from trial to trial"
    assert said["names"] == [assigned(tmp_path, study, seed).name for seed in (1, 2)]
    assert said["mean"] == study.shift.open().target_adapt.pixels[[0, 1, 2, 3]].mean()
    assert said["levels"] == [50, 100]


def test_what_was_loaded_by_hand_is_known_by_its_name(study: Study) -> None:
    modules = {module.__name__ for module in loaded_by_hand()}
    assert "study_own" in modules
    assert not {name for name in modules if name.split(".")[0] in {"torch", "ray", "platform", "tests", "helper", "os"}}


def test_packing_leaves_nothing_behind(study: Study) -> None:
    before = ray.cloudpickle.list_registry_pickle_by_value()  # type: ignore[no-untyped-call]
    packed(study.shift)
    assert ray.cloudpickle.list_registry_pickle_by_value() == before  # type: ignore[no-untyped-call]


def raising(error: BaseException) -> None:
    raise error


@dataclass(frozen=True)
class Rotten:
    """Raises an error when it is unpickled, as an import may."""

    error: BaseException

    def __reduce__(self) -> tuple[Callable[..., None], tuple[BaseException]]:
        return raising, (self.error,)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ModuleNotFoundError("No module named 'helper'"), "ModuleNotFoundError: No module named 'helper' at "),
        (AttributeError("no Stripes in helper"), "AttributeError: no Stripes in helper at "),
        (SyntaxError("invalid syntax", ("helper.py", 3, 1, "a b")), "SyntaxError: invalid syntax (helper.py, line 3)"),
        (ValueError("LEVELS must be two,\n  got one"), "ValueError: LEVELS must be two, got one at "),
        (ImportError("libodd.so.1: cannot open shared object file"), "ImportError: libodd.so.1: cannot open "),
        (SystemExit(3), "ImportError: a module must not exit where it is imported, got sys.exit(3); remove the call"),
    ],
)
def test_an_error_while_a_parcel_is_opened_is_its_trials_failure(error: BaseException, reason: str) -> None:
    failure = failure_of(Received("mine", pickle.dumps(Rotten(error))).opened())  # type: ignore[arg-type]
    assert failure.reason.startswith(reason)
    assert " at parcel.py" not in failure.reason
    assert (failure.cause, failure.retry) == ("error", True)
    assert failure.trace.startswith("Traceback (most recent call last)")


def test_an_error_names_its_line_in_the_users_file(study: Study, tmp_path: Path) -> None:
    content = packed(study.shift)
    del sys.modules["helper"]
    (tmp_path / "helper.py").write_text("LEVELS = 1\nraise ValueError('no licence')\n")
    sys.path.append(str(tmp_path))
    try:
        failure = failure_of(Received("mine", content).opened())  # type: ignore[arg-type]
    finally:
        sys.path.remove(str(tmp_path))
    assert failure.reason == "ValueError: no licence at helper.py:2"


def test_what_cannot_be_packed_is_its_trials_failure_and_may_be_copied(tmp_path: Path) -> None:
    locked = replace(assignment(tmp_path), shift=Locked((32, 64), ((0,), (1,)), ValueError(), threading.Lock()))
    assert copy.deepcopy({PARCEL: Parcel(locked)})[PARCEL].assignment is locked
    failure = failure_of(opened(locked))
    assert failure.reason.startswith("TypeError: cannot pickle '_thread.lock' object")
    assert "Traceback" in failure.trace


@dataclass(frozen=True)
class Locked(Unopenable):
    """A shift that holds what no other process can have."""

    door: Any


def test_what_cannot_be_sent_is_named(study: Study) -> None:
    assert obstacle(study.shift) is None
    assert obstacle(SourceOnly()) is None
    locked: Shift = Locked((32, 64), ((0,), (1,)), ValueError(), threading.Lock())
    assert obstacle(locked) == "door: cannot pickle '_thread.lock' object"
    assert obstacle(unopenable(ValueError())) is None


def test_what_a_study_file_holds_beside_its_classes_is_named(tmp_path: Path) -> None:
    text = own_shift.STUDY.replace("COUNT = ", "import threading\nDOOR = threading.Lock()\nCOUNT = ")
    (tmp_path / "helper.py").write_text(own_shift.HELPER)
    (tmp_path / "locked.py").write_text(text.replace("def open(self)", "def open(self, door=DOOR)"))
    with pytest.raises(
        StudyFileError, match=r"Stripes.open must be made of values and code .* got <unlocked _thread.lock"
    ):
        beside.load(tmp_path / "locked.py")


def test_a_worker_that_cannot_open_its_trial_says_why_and_takes_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.running.worker.this_node", lambda: NODE)
    rotten = {PARCEL: Received("the trial", pickle.dumps(Rotten(ModuleNotFoundError("No module named 'helper'"))))}
    with process_as_it_was():
        worker = TrialTrainable(dict(rotten))
        for _ in range(2):
            assert repr(worker) == "the trial"
            failure = failure_of(worker.step()["result"])
            assert failure.reason.startswith("ModuleNotFoundError: No module named 'helper'")
            assert worker.config == {}, "it would come back with every result"
            worker.cleanup()
            assert worker.reset_config(sent(assignment(tmp_path)))
            assert numbers(report_of(worker.step()["result"])) == undisturbed(SourceOnly())[0]
            assert worker.reset_config(dict(rotten))
