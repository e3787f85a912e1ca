"""Ctrl-C while a command imports its libraries."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from platform.records.provenance import ROOT
from tests.support.patience import PATIENCE

DOORS = ("audit", "remote", "replay", "score", "study")
"""The commands that import large libraries, numpy among them."""
LIBRARY = """
import time
print("importing", flush=True)
{}
print("imported", flush=True)
time.sleep(600)
"""


def interrupted(library: Path, waiting: str, *command: str) -> subprocess.Popen[str]:
    """A command that gets Ctrl-C in the middle of its import of numpy."""
    (library / "numpy.py").write_text(LIBRARY.format(waiting))
    process = subprocess.Popen(
        [*command[:-1], sys.executable, "-m", command[-1]],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(library)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    return process


@pytest.mark.parametrize("door", DOORS)
def test_a_command_that_imports_ends_with_one_line(door: str, tmp_path: Path) -> None:
    process = interrupted(tmp_path, "time.sleep(600)", f"platform.{door}")
    said, complained = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (130, "")
    assert complained == "\ninterrupted; run the same command again\n"


def test_a_script_that_has_it_ignored_goes_on(tmp_path: Path) -> None:
    ignoring = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")
    process = interrupted(tmp_path, "input()", *ignoring, "platform.study")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "imported\n"
    process.kill()
    process.communicate(timeout=PATIENCE)


def test_at_its_end_it_ends_without_a_word() -> None:
    """Libraries tidy up at exit, and would be interrupted within that."""
    program = (
        "import atexit, time\n"
        "atexit.register(lambda: (print('tidying', flush=True), time.sleep(600)))\n"
        "from platform.commands.before.importing import leave\n"
        "leave(0)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "tidying\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=PATIENCE) == ("", "")
    assert process.returncode == -signal.SIGINT
