"""How every command ends, whichever it is: one line and an exit code for each kind of error."""

import importlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from platform.commands.exits import EPILOG, LONGEST, BadInput, MachineFailed, bad_input
from platform.records.provenance import ROOT
from platform.records.store import Store
from platform.shifts.shift import DataError

ERRORS: dict[str, tuple[BaseException, int, str]] = {
    "bad input": (BadInput("--slots must be 1"), 2, "error: --slots must be 1\n"),
    "bad input of many lines": (BadInput("must be YAML:\n  a\n"), 2, "error: must be YAML: a\n"),
    "bad input too long": (
        BadInput("--slots must be 1, got " + "1" * LONGEST),
        2,
        f"error: --slots must be 1, got {'1' * (LONGEST - 26)}...\n",
    ),
    "a full disk": (
        OSError(28, "No space left"),
        3,
        "error: [Errno 28] No space left; mend that, and run the same command again\n",
    ),
    "a machine": (
        MachineFailed("Ray has died"),
        3,
        "error: Ray has died; mend that, and the same command goes on from here\n",
    ),
    "a machine, with its own remedy": (
        MachineFailed("the head is another", "start"),
        3,
        "error: the head is another; start\n",
    ),
    "Ctrl-C": (KeyboardInterrupt(), 130, "\ninterrupted; run the same command again\n"),
    "nobody reads": (BrokenPipeError(32, "Broken pipe"), 141, ""),
}
"""An error, the code it leads to, and what is said on standard error."""


@dataclass(frozen=True)
class Door:
    """A command, arguments that it takes, and a function of its module that it cannot do without."""

    module: str
    arguments: tuple[str, ...]
    inner: str

    @property
    def commands(self) -> ModuleType:
        return importlib.import_module(self.module)

    def run(self) -> int:
        main: Callable[[tuple[str, ...]], int] = self.commands.main
        return main(self.arguments)


DOORS = {
    "study": Door("platform.commands.study", ("studies/quickstart.py", "--plan"), "load"),
    "score": Door("platform.commands.score", ("predictions", "labels"), "score"),
    "replay": Door("platform.commands.replay", ("results",), "recorded"),
    "tracking": Door("platform.commands.tracking", ("results", "--to", "sqlite:////tmp/mlflow.db"), "recorded"),
    "remote": Door("platform.commands.remote.command", ("run", "studies/quickstart.py"), "load"),
}
every_door = pytest.mark.parametrize("name", DOORS)


def failing(monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException) -> Door:
    """A door behind which an error is raised."""

    def fail(*_: object) -> None:
        raise error

    door = DOORS[name]
    monkeypatch.setattr(door.commands, door.inner, fail)
    return door


@pytest.fixture(autouse=True)
def _signals_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The remote command takes SIGTERM and SIGHUP over, which this process must not."""
    monkeypatch.setattr("signal.signal", lambda *_: None)


@every_door
@pytest.mark.parametrize("kind", ERRORS)
def test_every_door_ends_alike(
    name: str, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error, code, said = ERRORS[kind]
    assert failing(monkeypatch, name, error).run() == code
    assert capsys.readouterr() == ("", said)


@every_door
def test_a_mistake_of_ours_is_shown_whole(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(monkeypatch, name, ZeroDivisionError("ours")).run() == 4
    said = capsys.readouterr().err
    assert said.startswith("Traceback (most recent call last):\n")
    assert said.endswith("ZeroDivisionError: ours\n")


class Gone(io.StringIO):
    """A terminal that was closed."""

    def write(self, text: str, /) -> int:
        raise OSError(5, "Input/output error")


@every_door
def test_a_terminal_that_is_gone_changes_no_exit_code(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    door = failing(monkeypatch, name, BadInput("said to nobody"))
    monkeypatch.setattr(sys, "stderr", Gone())
    assert door.run() == 2


@every_door
def test_help_names_the_exit_codes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        DOORS[name].commands.main(["--help"])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    assert "exit codes: " in said
    assert "130" in said
    # A line may break after a hyphen.
    assert name == "remote" or "".join(EPILOG.split()) in "".join(said.split())


def test_the_pages_name_the_exit_codes() -> None:
    page = (ROOT / "docs" / "running.md").read_text()
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| ")]
    codes = {code.strip(): meaning for code, meaning in rows}
    assert codes.keys() >= {"0", "1", "2", "3", "4", "129, 130, 141, 143"}
    assert "bad input" in codes["2"]
    assert "the machine failed" in codes["3"]
    assert "a mistake of ours" in codes["4"]


def test_only_what_a_command_names_is_a_users_mistake(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A ValueError is one where what was given is checked, and none anywhere else."""
    assert failing(monkeypatch, "score", ValueError("a.png")).run() == 2
    assert failing(monkeypatch, "study", DataError("no frames")).run() == 2
    assert failing(monkeypatch, "study", ValueError("ours")).run() == 4
    assert capsys.readouterr().err.endswith("ValueError: ours\n")


def test_a_value_error_behind_the_checks_is_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("ours")

    tracking, score = DOORS["tracking"], DOORS["score"]
    monkeypatch.setattr(tracking.commands, "recorded", lambda _: (Store(tmp_path), ["fda"]))
    monkeypatch.setattr(tracking.commands, "_copy_study", fail)
    assert tracking.run() == 4
    monkeypatch.setattr(score.commands, "score", lambda *_: {"miou": float("nan")})
    assert score.run() == 4
    assert capsys.readouterr().err.count("Traceback") == 2


@pytest.mark.parametrize("name", ["tracking", "replay"])
def test_what_reads_records_waits_for_neither_torch_nor_ray(name: str) -> None:
    program = f"import sys, {DOORS[name].module}; print(sys.modules.keys() & set(sys.argv))"
    command = [sys.executable, "-c", program, "torch", "ray", "scipy", "pandas", "psutil", "mlflow"]
    assert subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout == "set()\n"


def test_what_a_user_gave_is_checked_by_others() -> None:
    with pytest.raises(BadInput, match="must be"), bad_input():
        raise ValueError("must be")
    with pytest.raises(TypeError), bad_input():
        raise TypeError("ours")


@pytest.fixture
def scored(tmp_path: Path) -> list[str]:
    """The arguments of a score."""
    for folder in ("predictions", "labels"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / folder / "a.png")
    return [str(tmp_path / "predictions"), str(tmp_path / "labels")]


def piped(output: int, *arguments: str) -> tuple[int, str]:
    """The exit code and the errors of a Python that holds its output back, as it does unless it is told otherwise."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    ended = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=output, stderr=subprocess.PIPE, text=True
    )
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_a_reader_that_is_gone_gets_no_complaint(scored: list[str], arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    assert piped(writing, "-m", "platform.score", *scored, *arguments) == (141, "")
    os.close(writing)


def test_an_output_on_a_full_disk_is_one_line(scored: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        code, said = piped(full.fileno(), "-m", "platform.score", *scored)
    assert (code, said.count("\n")) == (3, 1)
    assert said.startswith("error: [Errno 28] No space left on device; mend that")


def test_output_that_is_written_off_is_not_tried_again() -> None:
    program = (
        "from platform.commands.exits import write_off_output\nprint('lost')\nwrite_off_output()\nprint('nowhere')\n"
    )
    with Path("/dev/full").open("w") as full:
        assert piped(full.fileno(), "-c", program) == (0, "")
