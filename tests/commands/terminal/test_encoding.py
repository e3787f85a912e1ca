"""Output in any encoding: nothing that is printed ends a command, and what cannot be shown is readable."""

import io
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.cells import cell_len

from platform.commands.terminal.encoding import SUBSTITUTED
from platform.records.provenance import ROOT
from platform.results.report import terminal
from tests.commands.test_exits import DOORS
from tests.design.test_loading import FINE, IMPORTS
from tests.support.invented_study import made

NARROW = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "C": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
}


def printed(text: str, encoding: str) -> str:
    """What arrives of a text in an encoding."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding, SUBSTITUTED, newline="")
    stream.write(text)
    stream.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "shift_jis", "utf-8", "utf-16-le"])
def test_a_table_keeps_its_columns_in_every_encoding(encoding: str) -> None:
    text = terminal.render(made("source only", "FDA", "target supervised")[3])
    shown = printed(text, encoding)
    # A Japanese terminal gives our signs two columns, in whatever encoding.
    assert [len(line) for line in shown.splitlines()] == [cell_len(line) for line in text.splitlines()]
    assert "\\" not in shown
    assert encoding != "ascii" or "d mIoU" in shown


def test_letters_of_names_become_escapes_and_bytes_of_file_names_too() -> None:
    assert printed("FDA β 🙂", "latin-1") == "FDA \\u03b2 \\U0001f642"
    assert printed("\udcff.png", "utf-8") == "\\udcff.png"


def ended(command: Sequence[str | bytes], **changes: str) -> "subprocess.CompletedProcess[bytes]":
    removed = {"PYTHONIOENCODING", "PYTHONUTF8", "LC_ALL", "LANG"}
    environment = {name: value for name, value in os.environ.items() if name not in removed}
    return subprocess.run(command, cwd=ROOT, env=environment | changes, capture_output=True)


@pytest.mark.parametrize("name", NARROW)
def test_a_plan_ends_well_in_every_encoding(name: str, tmp_path: Path) -> None:
    file = tmp_path / "question.py"
    file.write_text(IMPORTS + FINE.replace('"FDA"', '"FDA β"'), encoding="utf-8")
    done = ended([sys.executable, "-m", "platform.study", str(file), "--plan"], **NARROW[name])
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"FDA \\u03b2 (reference)" in done.stdout


@pytest.mark.parametrize("name", DOORS)
def test_bytes_of_an_argument_that_are_no_text_stand_in_the_message(name: str) -> None:
    """By the standard error that a program may have replaced, too."""
    command = [b"--to", b"sqlite:////tmp/mlflow.db"] if name == "tracking" else []
    arguments = {"score": [b"\xff", b"\xff"], "remote": [b"run", b"\xff.py"]}.get(name, [b"\xff", *command])
    done = ended([sys.executable, "-m", f"platform.{name}", *arguments], PYTHONIOENCODING="utf-8:strict")
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert b"\\udcff" in done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_closed_streams_take_no_file_that_is_opened_next(closed: str) -> None:
    program = (
        "import os, sys\nfrom platform.commands.exits import ending\n"
        "@ending()\n"
        "def main():\n"
        "    file = os.open('pyproject.toml', os.O_RDONLY)\n"
        "    print('something', file)\n"
        "    print('else', file=sys.stderr)\n"
        "    return file\n"
        "sys.exit(main())\n"
    )
    done = ended(["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, program])
    assert done.returncode > 2, "a number that is not a standard stream's"
