"""The name `platform` works in every kind of process: the standard module's functions and our submodules, both."""

import multiprocessing
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from platform.records.provenance import ROOT
from tests.support.mlflow_server import Server


def both_modules() -> tuple[str, str]:
    """What the standard module says, and a name from ours."""
    import platform
    from platform.shifts.labels import NAMES

    return platform.system(), NAMES[0]  # type: ignore[attr-defined]  # typeshed's module is hidden by ours


EXPECTED = (os.uname().sysname, "road")


def run(*command: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_in_this_pytest() -> None:
    assert both_modules() == EXPECTED


def test_every_function_of_the_standard_module_is_there() -> None:
    names = "import platform; print(sorted(name for name in vars(platform) if not name.startswith('__')))"
    standard = set(eval(run(sys.executable, "-I", "-c", names)))
    assert standard <= set(eval(run(sys.executable, "-c", names)))


def test_python_module_command() -> None:
    assert "a Python file that defines one Study" in run(sys.executable, "-m", "platform.study", "--help")


def test_study_classes_are_the_same_in_the_command_and_in_a_study_file(tmp_path: Path) -> None:
    file = tmp_path / "same.py"
    file.write_text(
        "from platform.methods import SourceOnly\nfrom platform.shifts import town\n"
        "from platform.study import Arm, Budget, Study\n"
        "budget = Budget(steps=1, evaluations=1)\n"
        "study = Study(shift=town(), arms={'a': Arm(SourceOnly)}, reference='a', budget=budget)\n"
    )
    assert "5 confirm" in run(sys.executable, "-m", "platform.study", str(file), "--plan")


@pytest.mark.parametrize("command", [[sys.executable, "-m", "pytest"], [str(Path(sys.executable).parent / "pytest")]])
def test_pytest_as_a_module_and_bare(command: list[str]) -> None:
    output = run(*command, "-q", "-p", "no:cacheprovider", f"{Path(__file__)}::test_in_this_pytest")
    assert "1 passed" in output


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_process_of_multiprocessing(method: str) -> None:
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(both_modules) == EXPECTED


class AskEachItem(Dataset[tuple[str, str]]):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[str, str]:
        assert torch.utils.data.get_worker_info() is not None
        return both_modules()


@pytest.mark.slow
def test_a_ray_worker(tmp_path: Path) -> None:
    """The path is the one that a study gives its workers: they import the standard module before the study's code."""
    program = (
        "import ray, sys; from pathlib import Path; from tests import test_ways_in\n"
        "from platform.running.cluster import local; from platform.running.interruption import Interruption\n"
        "from platform.records.storage.storage import Folder\n"
        "with local(Path.cwd(), Interruption(Folder(Path(sys.argv[1])), 'stop'), print):\n"
        "    print(ray.get(ray.remote(test_ways_in.both_modules).remote()))"
    )
    assert run(sys.executable, "-c", program, str(tmp_path)).splitlines()[-1] == str(EXPECTED)


@pytest.mark.slow
def test_mlflow_ui_as_a_module_at_the_root(tmp_path: Path) -> None:
    with Server(tmp_path, "ui") as server, urllib.request.urlopen(server.uri, timeout=10) as answer:
        assert b"<title>MLflow</title>" in answer.read()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_data_loader_worker(method: str) -> None:
    loader = DataLoader(AskEachItem(), batch_size=None, num_workers=1, multiprocessing_context=method)
    assert [tuple(item) for item in loader] == [EXPECTED, EXPECTED]
