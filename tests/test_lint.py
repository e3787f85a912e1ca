"""Format, lint and types, beside the other tests: mypy takes a core for a minute."""

import subprocess
import sys

import pytest

from platform.records.provenance import ROOT

COMMANDS = [("ruff", "format", "--check", "."), ("ruff", "check", "."), ("mypy",)]


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_tree_is_clean(command: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
