"""What workers inherit: the checkout, then what the user's PYTHONPATH names, and logs that can be read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from platform.records.provenance import ROOT
from platform.running.workers.environment import PYTHONPATH, inheriting, users_path


@pytest.mark.parametrize(
    ("named", "folders"),
    [
        (None, []),
        ("", []),
        ("/a:/b", ["/a", "/b"]),
        ("lib", ["{here}/lib"]),
        ("/a:", ["/a", "{here}"]),
        (os.fsdecode(b"/r\xe9sum\xe9"), [os.fsdecode(b"/r\xe9sum\xe9")]),
    ],
    ids=["none", "empty", "two", "relative", "an empty entry is the working folder", "bytes"],
)
def test_the_users_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str | None, folders: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(PYTHONPATH, raising=False)
    if named is not None:
        monkeypatch.setenv(PYTHONPATH, named)
    wanted = [folder.format(here=tmp_path) for folder in folders]
    assert users_path() == wanted
    with inheriting(ROOT):
        assert os.environ[PYTHONPATH] == os.pathsep.join([str(ROOT), *wanted])
    assert os.environ.get(PYTHONPATH) == named


def test_logs_are_written_as_they_are_read_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_BACKEND_LOG_LEVEL", "error")
    monkeypatch.delenv("RAY_LOG_TO_STDERR", raising=False)
    with inheriting(ROOT):
        assert (os.environ["RAY_BACKEND_LOG_LEVEL"], os.environ["RAY_LOG_TO_STDERR"]) == ("info", "0")
    assert os.environ["RAY_BACKEND_LOG_LEVEL"] == "error"
    assert "RAY_LOG_TO_STDERR" not in os.environ


def test_python_takes_them_in_that_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHONPATH, f"{tmp_path}:relative")
    monkeypatch.chdir(tmp_path)
    with inheriting(ROOT):
        path = subprocess.check_output([sys.executable, "-P", "-c", "import sys; print(*sys.path)"], cwd="/", text=True)
    assert path.split()[:3] == [str(ROOT), str(tmp_path), str(tmp_path / "relative")]


def test_a_python_that_ignores_them_gives_them_to_no_worker(tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
        "from platform.running.workers.environment import users_path; print(users_path())"
    )
    environment = os.environ | {PYTHONPATH: str(tmp_path)}
    assert subprocess.check_output([sys.executable, "-E", "-c", program], env=environment, text=True) == "[]\n"
