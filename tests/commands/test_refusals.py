"""What a user's account and environment lack, said with the remedy before anything starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from platform.commands.before.refusals import check_interpreter
from platform.records.location import results_store
from platform.records.provenance import ROOT, commit
from platform.shifts.cache import cached
from platform.shifts.shift import DataError, cache_folder
from tests.support.copied_study import STUDY, recorded_study

WITHOUT_HOME = """
import os, pwd
os.environ.pop("HOME", None)
def nobody(number):
    raise KeyError(number)
pwd.getpwuid = nobody  # a container's user, whom no password file names
"""


def without_home(program: str, **environment: str) -> str:
    """What a program prints that a user without a home runs."""
    command = [sys.executable, "-c", WITHOUT_HOME + program]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True).stdout


def test_a_user_without_a_home() -> None:
    program = (
        "from platform.shifts.shift import DataError, cache_folder\n"
        "try:\n    cache_folder()\n"
        "except ValueError as error:\n    print(error)\n"
    )
    (data,) = without_home(program, XDG_CACHE_HOME="").splitlines()
    assert data.endswith("set XDG_CACHE_HOME to the full path of a folder that can be written")


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DataError, match=r"got .*/cache/domain.*: Not a directory; set XDG_CACHE_HOME to the full path"):
        cached("key", lambda _: None)


def test_a_relative_folder_of_the_users_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for relative in ("cache", "", "./x"):
        monkeypatch.setenv("XDG_CACHE_HOME", relative)
        monkeypatch.setenv("XDG_STATE_HOME", relative)
        assert cache_folder().parent == tmp_path / ".cache"
        assert results_store("s3://lab/x").folder.is_relative_to(tmp_path / ".local" / "state")


def test_a_home_that_nobody_has() -> None:
    with pytest.raises(ValueError, match="got '~nobody-is-called-so/results', and no such home; name it in full"):
        results_store("~nobody-is-called-so/results")


def test_one_studys_folder_is_no_folder_of_results(tmp_path: Path) -> None:
    recorded_study(tmp_path)
    with pytest.raises(
        ValueError, match=r"must be a folder of studies, got .*, which is one study's; name the one above"
    ):
        results_store(str(tmp_path / STUDY))


@pytest.mark.parametrize("flag", ["-Werror", "-We::DeprecationWarning", "-OO"])
def test_a_python_that_the_libraries_beneath_cannot_do_with(flag: str) -> None:
    program = (
        "from platform.commands.before.refusals import check_interpreter as c\n"
        "try: c()\nexcept ValueError as e: print(e)"
    )
    done = subprocess.run([sys.executable, flag, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.count("\n") == 1
    assert "leave" in done.stdout


def test_warnings_of_ones_own_module_may_be_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    for options in (["error:::mylab"], ["default"], ["ignore::DeprecationWarning"], [""]):
        monkeypatch.setattr(sys, "warnoptions", options)
        check_interpreter()


def test_the_commit_of_another_users_checkout_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.records.provenance.ROOT", tmp_path)
    monkeypatch.delenv("PLATFORM_GIT_COMMIT", raising=False)
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for arguments in (["init", "--quiet"], [*identity, "commit", "--quiet", "--allow-empty", "--message", "first"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    # What git itself reads to have its tests believe that a folder is somebody else's.
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert len(commit()) == 40
