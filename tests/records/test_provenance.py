"""What records say of where their numbers come from."""

import importlib.metadata
import tomllib
from pathlib import Path

import pytest

from platform.records import provenance as provenances
from platform.records.provenance import COMMIT_VARIABLE, ROOT, commit, provenance, version


def test_the_version_is_the_one_of_the_checkout() -> None:
    assert version() == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert provenance()["platform_version"] == version()


def test_nothing_of_ours_needs_to_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "domain-adaptation-platform"\nversion = "7.8.9"\n')
    monkeypatch.setattr(provenances, "ROOT", tmp_path)
    assert version() == "7.8.9"


def test_a_copy_without_the_file_that_says_it_has_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenances, "ROOT", tmp_path)
    assert version() == ""


def test_the_commit_is_the_checkouts_wherever_git_is_told_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a hook of another repository."""
    monkeypatch.delenv(COMMIT_VARIABLE, raising=False)
    own = commit()
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    assert commit() == own


def test_every_value_is_a_text_and_the_libraries_that_decide_numbers_are_named() -> None:
    known = provenance()
    assert all(isinstance(value, str) for value in known.values())
    assert {name: known[name] for name in ("torch", "ray", "optuna")} == {
        name: importlib.metadata.version(name) for name in ("torch", "ray", "optuna")
    }
    assert known.keys() >= {"host", "python", "git_commit"}
