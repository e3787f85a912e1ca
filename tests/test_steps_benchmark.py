"""The comparison with an older checkout, on two checkouts of today's code with a smaller quickstart."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import steps, turns
from platform.records.provenance import ROOT
from studies.quickstart import study

QUICKSTART = """
from platform.methods import FDA, SourceOnly
from platform.networks import BiSeNet18
from platform.shifts import town
from platform.study import Arm, Budget, Recipe, Study

study = Study(
    shift=town(size=(64, 64), source_images=(8, 2), target_images=(8, 8, 2)),
    arms={{"source only": Arm(SourceOnly), {name!r}: Arm(FDA)}},
    reference="source only",
    budget=Budget(steps=4, evaluations=1),
    recipe=Recipe(network=BiSeNet18(width=0.0625)),
)
"""


def checkout(folder: Path, name: str) -> Path:
    """Today's code, with a quickstart of source only and another row."""
    (folder / "studies").mkdir(parents=True)
    (folder / "studies" / "__init__.py").touch()
    (folder / "studies" / "quickstart.py").write_text(QUICKSTART.format(name=name), encoding="utf-8")
    (folder / "platform").symlink_to(ROOT / "platform")
    return folder


def called(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["steps", *arguments])
    steps.main()


@pytest.mark.slow
def test_both_take_turns_of_the_rows_that_both_have(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(steps, "ROOT", checkout(tmp_path / "after", "a new row"))
    monkeypatch.setattr(steps, "STEPS", 1)
    called(monkeypatch, "--before", str(checkout(tmp_path / "before", "a row of before")), "--turns", "2")
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["lower", "quartile", "before", "after"]
    assert [line[:32].strip() for line in lines] == ["source only", "evaluation", "all rows' trials at full length"]
    assert all(float(line.split()[-1].removesuffix("x")) > 0 for line in lines)


def test_a_trial_has_all_steps_and_evaluations_of_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"source only": (0.1, 1.0), "FDA": (0.2, 2.0), "evaluation": (10.0, 100.0)}
    budget = study.budget
    assert steps.whole(found, 0) == pytest.approx(budget.steps * 0.3 + 2 * budget.evaluations * 10)
    assert steps.whole(found, 1) == pytest.approx(budget.steps * 3 + 2 * budget.evaluations * 100)


def test_a_quarter_of_the_times_is_shorter() -> None:
    assert steps.quartile([3.0]) == 3
    assert steps.quartile([5.0, 1.0, 2.0, 3.0, 4.0]) == 2


def test_what_is_no_checkout_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        called(monkeypatch, "--before", str(tmp_path))
    assert f"--before must be a checkout of this repository, got {tmp_path}; it has" in capsys.readouterr().err


def test_no_turns_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        called(monkeypatch, "--before", str(ROOT), "--turns", "0")
    assert "--turns must be at least 1, got 0" in capsys.readouterr().err


@pytest.mark.slow
def test_a_checkout_that_does_not_run_is_told(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "quickstart.py").write_text("", encoding="utf-8")
    with steps.worker(tmp_path) as process, pytest.raises(RuntimeError, match="a process that took turns ended with 1"):
        steps.answer(process)


def test_an_older_checkout_is_set_up_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, a module of trials made processes deterministic, and none kept memory."""
    made: list[int] = []

    def imported(name: str) -> ModuleType:
        if name != "platform.training.run":
            raise ModuleNotFoundError(name)
        module = ModuleType(name)
        module.make_deterministic = made.append  # type: ignore[attr-defined]
        return module

    monkeypatch.setattr(importlib, "import_module", imported)
    turns.prepare()
    assert made == [1]
