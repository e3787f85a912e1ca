"""The name `platform` works in every kind of process: the standard module's functions and our submodules, both."""

import multiprocessing
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from platform.records.provenance import ROOT
from tests.support.mlflow_server import Server
from tests.support.patience import PATIENCE


def both_modules() -> tuple[str, str]:
    """What the standard module says, and a name from ours."""
    import platform
    from platform.shifts.labels import NAMES

    return platform.system(), NAMES[0]  # type: ignore[attr-defined]  # typeshed's module is hidden by ours


EXPECTED = (os.uname().sysname, "road")


def run(*command: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
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


def test_pytest_bare() -> None:
    """As a module, it runs this."""
    output = run(
        str(Path(sys.executable).parent / "pytest"),
        "-q",
        "-p",
        "no:cacheprovider",
        f"{Path(__file__)}::test_in_this_pytest",
    )
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
@pytest.mark.thorough
def test_a_ray_worker(tmp_path: Path) -> None:
    """The path is the one that a study gives its workers: they import the standard module before the study's code."""
    program = (
        "import ray, sys; from pathlib import Path; from tests import test_ways_in\n"
        "from platform.running.machine.session import local; from platform.running.interruption import Interruption\n"
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


def beginning() -> str:
    """The lines with which the README has a notebook begin, for this checkout."""
    (lines,) = re.findall(r"(?m)^    (import platform, sys; root = .*\n)    (.*\n)", (ROOT / "README.md").read_text())
    return re.sub(r'root = "[^"]*"', f"root = {str(ROOT)!r}", "".join(lines))


USES = (
    "from platform.study import Arm\nimport platform.methods\nassert platform.study.Arm is Arm\n"
    "print((platform.system(), platform.shifts.labels.NAMES[0]))\n"
)


@pytest.mark.parametrize("flags", [(), ("-I",), ("-P",)])
def test_a_notebook_at_the_root_whose_kernel_has_imported_the_standard_module(flags: tuple[str, ...]) -> None:
    """The state of a kernel before the first cell, and a cell that is run twice."""
    kernel = "import sys\nsys.path.remove('') if '' in sys.path else None\nimport platform\nsys.path.insert(0, '')\n"
    cell = beginning() + USES
    assert run(sys.executable, *flags, "-c", kernel + cell + cell).splitlines() == [str(EXPECTED)] * 2


def test_a_script_in_a_folder(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    spawn = "    import multiprocessing\n    from tests.test_ways_in import both_modules\n"
    script.write_text(
        f"{beginning()}{USES}if __name__ == '__main__':\n{spawn}"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n        print(pool.apply(both_modules))\n"
    )
    assert run(sys.executable, str(script)).splitlines()[-1] == str(EXPECTED)


@pytest.mark.slow
def test_a_notebooks_classes_reach_rays_workers(tmp_path: Path) -> None:
    program = (
        f"import platform\n{beginning()}"
        "from pathlib import Path; import ray\n"
        "from platform.methods import FDA; from platform.study import Arm\n"
        "from platform.running.machine.session import local; from platform.running.interruption import Interruption\n"
        "from platform.records.storage.storage import Folder\n"
        f"with local(Path(root), Interruption(Folder(Path({str(tmp_path)!r})), 'stop'), print):\n"
        "    there = ray.get(ray.remote(lambda arm: arm).remote(Arm(FDA, beta=0.05)))\n"
        "print(there == Arm(FDA, beta=0.05))"
    )
    assert run(sys.executable, "-P", "-c", program).splitlines()[-1] == "True"
