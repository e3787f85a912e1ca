"""The log: what goes there instead of to the terminal."""

import contextlib
import io
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from platform.commands.terminal.log import quiet
from platform.records.provenance import ROOT
from tests.support.patience import PATIENCE

NOISE = """
import contextlib, ctypes, logging, os, subprocess, sys, warnings
from pathlib import Path
from platform.commands.terminal.log import quiet

held = logging.getLogger("held")
held.addHandler(logging.StreamHandler(sys.stderr))
held.propagate = False
print("before")
with quiet(Path(sys.argv[1])) as out:
    print("from print")
    held.warning("from a handler of before")
    sys.stderr.write("from stderr\\n")
    sys.stdout.buffer.write(b"from bytes\\n")
    with contextlib.suppress(OSError):
        os.write(1, b"from a descriptor\\n")
    ctypes.CDLL(None).puts(b"from C")
    subprocess.run(["sh", "-c", "echo from a child; echo from its errors >&2"])
    logging.getLogger("platform.results.mirror.tracker").warning("from a logger")
    warnings.warn("from a warning")
    print("progress", file=out, flush=True)
    sys.stdout.flush()
    if len(sys.argv) > 2:
        raise RuntimeError("boom")
print("after", flush=True)
print("error after", file=sys.stderr)
logging.getLogger("platform.results.mirror.tracker").warning("logged after")
"""


def noise(log: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program that makes every kind of noise."""
    return subprocess.run(
        [sys.executable, "-c", NOISE, str(log), *arguments], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE
    )


def test_noise_goes_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("of an earlier run\n")
    done = noise(log)
    assert done.stdout.splitlines() == ["before", "progress", "after"]
    assert done.stderr.splitlines() == ["error after", "logged after"]
    text = log.read_text()
    assert text.startswith("of an earlier run\n")
    for source in ("print", "a handler of before", "stderr", "bytes", "a descriptor", "C", "a child", "its errors"):
        assert f"from {source}\n" in text
    clock = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} WARNING"
    assert re.search(f"{clock} platform.results.mirror.tracker: from a logger$", text, re.MULTILINE)
    assert re.search(f"{clock} py.warnings: .*from a warning$", text, re.MULTILINE)


def test_an_exception_gives_the_terminal_back(tmp_path: Path) -> None:
    done = noise(tmp_path / "log.txt", "raise")
    assert done.stdout.splitlines() == ["before", "progress"]
    assert done.stderr.endswith("RuntimeError: boom\n")


@pytest.mark.parametrize("log", ["/dev/full", "/dev/null/no/folder"])
def test_a_log_that_cannot_be_written_ends_nothing(log: str) -> None:
    done = noise(Path(log))
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["before", "progress", "after"]
    assert done.stderr.splitlines() == ["error after", "logged after"], "what the log did not take is dropped"


def test_a_child_holds_neither_the_terminal_nor_the_command(tmp_path: Path) -> None:
    """A daemon outlives the command and writes on; whoever reads the command's output sees its end all the same."""
    code = (
        "import subprocess, sys\nfrom pathlib import Path\nfrom platform.commands.terminal.log import quiet\n"
        "with quiet(Path(sys.argv[1])) as out:\n"
        "    daemon = subprocess.Popen(['sh', '-c', 'read line; echo from the daemon'], stdin=0)\n"
        "    print('progress', file=out)\n"
    )
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "log.txt")], cwd=ROOT, stdin=reading, stdout=subprocess.PIPE
    )
    os.close(reading)
    assert process.stdout is not None
    assert process.stdout.read() == b"progress\n", "to its end, while the daemon still runs"
    process.wait(timeout=PATIENCE)
    os.write(writing, b"\n")
    os.close(writing)
    for _ in range(600):
        if "from the daemon" in (tmp_path / "log.txt").read_text():
            return
        threading.Event().wait(0.05)
    pytest.fail("the daemon could not write")


def test_an_output_that_is_no_file_is_yielded_as_it_is(tmp_path: Path) -> None:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), quiet(tmp_path / "log.txt") as terminal:
        print("noise")
        print("progress", file=terminal)
    assert out.getvalue() == "progress\n"
    assert (tmp_path / "log.txt").read_text() == "noise\n"
