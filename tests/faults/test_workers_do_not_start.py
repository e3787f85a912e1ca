"""Workers that cannot start at all: said with what Ray's log says, and the study ends; then it goes on."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import ray

from platform.records.store import Store
from tests.support import checkout
from tests.support.faults import moments
from tests.support.faults.processes import MARK, Machine

pytestmark = pytest.mark.slow

USES = "def losses(self, step):\n        helper.half\n        return super().losses(step)"
SITE = """
import os, sys
if any("default_worker" in part for part in sys.orig_argv):
    {end}
"""


def broken(folder: Path, end: str) -> dict[str, str]:
    """An environment in which every worker ends as it starts."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SITE.format(end=end))
    return {"PYTHONPATH": str(folder)}


@pytest.fixture
def machine(tmp_path: Path, cache: Path) -> Machine:
    made = checkout.make(tmp_path / "checkout", cache)
    return Machine(made, made.write(f"{moments.NAME}.py", moments.TEXT))


@pytest.mark.parametrize(
    ("end", "words", "logs"),
    [
        (
            "sys.exit('no licence here')",
            "SystemExit: no licence here",
            {"RAY_BACKEND_LOG_LEVEL": "error", "RAY_LOG_TO_STDERR": "1", "RAY_BACKEND_LOG_JSON": "1"},
        ),
        pytest.param("os._exit(3)", "it wrote nothing", {}, marks=pytest.mark.thorough),
    ],
    ids=["with words", "without"],
)
def test_workers_that_end_as_they_start(
    machine: Machine, tmp_path: Path, end: str, words: str, logs: dict[str, str]
) -> None:
    command = machine.start(**broken(tmp_path / "site", end), **logs)
    assert command.wait() == 3, command.output
    last = [line for line in command.output.splitlines() if line.startswith("error: ")]
    assert len(last) == 1, command.output
    assert last[0].startswith(f"error: Ray's workers die as they start: {words} (")
    log = re.search(r"\((/\S+/raylet\.err)\)", last[0])
    assert log is not None
    assert Path(log[1]).is_file(), "it can be read when the study has ended"
    assert not list(Path(log[1]).parents[2].glob("session_*/sockets")), "the rest is gone"
    assert last[0].endswith("mend that, and the same command goes on from here")
    assert "Traceback" not in command.output
    assert machine.left_behind() == []
    command = machine.start()
    assert command.wait() == 0, command.output
    assert {end.state for end, _ in moments.numbers(machine).values()} == {"complete"}


@pytest.mark.parametrize(
    ("kilobytes", "words"),
    [
        (5_000_000, "error: the libraries take 6 GiB of address space, got ulimit -v 5000000, 4.8 GiB; raise that"),
        pytest.param(
            500_000,
            "error: the libraries take 6 GiB of address space, got ulimit -v 500000, 0.5 GiB; raise that",
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            7_000_000,
            "error: Ray does not start: .+; ulimit -v is 7000000 here, which may be too little; mend that",
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            12_000_000,
            "error: Ray does not start: .+; ulimit -v is 12000000 here, which may be too little; mend that",
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_little_address_space_is_one_line(machine: Machine, kilobytes: int, words: str) -> None:
    study = ["-m", "platform.study", machine.study]
    limited = ["bash", "-c", f'ulimit -v {kilobytes}; exec "$@"', "bash", sys.executable, *study]
    ended = subprocess.run(
        limited,
        cwd=machine.checkout.root,
        env=machine.checkout.environment | {MARK: machine.mark},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 3, ended.stderr
    assert re.match(words, ended.stderr.splitlines()[-1]), ended.stderr
    assert [line for line in ended.stderr.splitlines() if line.startswith("error:")] == ended.stderr.splitlines()[-1:]
    assert "Traceback" not in ended.stderr
    assert machine.left_behind() == []


@pytest.mark.thorough
def test_all_packages_by_pythonpath(machine: Machine) -> None:
    """As module systems of clusters give them: the environment's own Python knows none of them."""
    packages = Path(ray.__file__).parents[1]
    base = os.path.realpath(sys.executable)
    command = machine.start(python=base, PYTHONPATH=str(packages))
    assert command.wait() == 0, command.output


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["x" * 100, "Müll"])
def test_a_folder_whose_path_sockets_do_not_take(machine: Machine, tmp_path: Path, name: str) -> None:
    """Job managers give such ones as TMPDIR."""
    folder = tmp_path / name
    folder.mkdir()
    command = machine.start(TMPDIR=str(folder))
    assert command.wait() == 3, command.output
    assert "error: Ray does not start: " in command.output
    assert "; have RAY_TMPDIR name a folder with a short path of plain letters that is yours" in command.output
    command = machine.start(TMPDIR=str(folder), RAY_TMPDIR="/tmp")
    assert command.wait() == 0, command.output


@pytest.mark.thorough
def test_what_only_the_driver_can_import(machine: Machine, tmp_path: Path) -> None:
    """A module in an archive, which no run copies: the error of its import is the trial's, and no worker is lost."""
    archive = tmp_path / "helpers.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("helper.py", "half = 0.5\n")
    text = moments.TEXT.replace(
        "import os\n", f"import os\nimport sys\nsys.path.insert(0, {str(archive)!r})\nimport helper\n"
    )
    machine.checkout.write(f"{moments.NAME}.py", text.replace('"""The third."""', USES))
    command = machine.start()
    assert command.wait() == 1, command.output
    table = (machine.results / moments.NAME / "table.md").read_text()
    assert "Third: all 1 trials failed, which leaves no score: 1 error" in table
    assert "Third: ModuleNotFoundError: No module named 'helper' (" in table
    assert Store(machine.results).journal(moments.NAME).losses == {}
