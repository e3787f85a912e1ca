"""Packages without a file of their own, as `studies/` is one: Python finds them in every folder of its path."""

import sys
from pathlib import Path

import pytest

from platform.running.workers.code import users_modules


@pytest.fixture
def two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The copy of a run, and the checkout: both hold the same package, and the copy comes first."""
    for name in ("copy", "checkout"):
        (tmp_path / name / "questions_of_mine").mkdir(parents=True)
        (tmp_path / name / "questions_of_mine" / "rows.py").write_text("WHERE = __file__\n")
        monkeypatch.syspath_prepend(tmp_path / name)
    monkeypatch.syspath_prepend(tmp_path / "copy")
    for name in ("questions_of_mine.rows", "questions_of_mine"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path / "copy", tmp_path / "checkout"


def test_what_comes_from_the_copy_is_not_taken_for_code_from_elsewhere(two_folders: tuple[Path, Path]) -> None:
    copy, checkout = two_folders
    module = __import__("questions_of_mine.rows").rows
    assert Path(module.WHERE).is_relative_to(copy)
    both = {copy / "questions_of_mine", checkout / "questions_of_mine"}
    assert both <= {*users_modules()}
    assert both.isdisjoint(users_modules(elsewhere_than=copy.resolve()))
    assert both <= {*users_modules(elsewhere_than=copy.parent / "somewhere")}
