"""A study whose file, helper or checkout has changed since its trials were asked for: what is said, and what is not."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from platform.commands.before import refusals
from platform.commands.before.beside import load
from platform.commands.exits import BadInput
from platform.commands.study import main
from platform.design.header import header
from platform.records.ledger import Ledger
from platform.records.record import Ask
from platform.records.store import Store

STUDY = '''"""Does a weight change anything?"""

from dataclasses import dataclass
from helper import FACTOR
from platform.methods import SourceOnly
from platform.networks import BiSeNet18
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, LogUniform, Recipe, Study


@dataclass(frozen=True, kw_only=True)
class Weighted(SourceOnly):
    def losses(self, step):
        return {"segmentation": FACTOR * step.prediction.logits.mean()}


study = Study(
    shift=town(size=(64, 64)),
    arms={"mine": Arm(Weighted, learning_rate=LogUniform(1e-3, 1e-1))},
    reference="mine",
    search=ASHA(trials=2, reduction=2),
    budget=Budget(steps=8, evaluations=4),
    seeds=2,
    recipe=Recipe(network=BiSeNet18(width=0.125), batch=4),
)
'''
Written = Callable[..., Path]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Written:
    """Writes the study, with its helper beside it, some text replaced."""

    def write(before: str = "", after: str = "", factor: float = 2.0) -> Path:
        monkeypatch.delitem(sys.modules, "helper", raising=False)
        (tmp_path / "helper.py").write_text(f"FACTOR = {factor}\n")
        file = tmp_path / "changing.py"
        file.write_text(STUDY.replace(before, after) if before else STUDY)
        return file

    return write


@pytest.fixture
def results(tmp_path: Path, written: Written) -> Path:
    """Results that hold the study's first search trial."""
    file = load(written())
    study, identity = file.study, file.study.shift.identity()
    ledger = Ledger(Store(tmp_path / "results"), file.name, list(study.arms))
    ledger.announce(header(study, file.name, file.question, identity, file.source, "2026-01-01T00:00:00+00:00"))
    row = study.row("mine")
    ledger.ask(Ask("mine", "search", 0, row.trial(row.defaults, 0, identity, ())))
    return tmp_path / "results"


def planned(file: Path, results: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What a plan prints besides the plan."""
    assert main([str(file), "--plan", "--results", str(results)]) == 0
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"before": "batch=4", "after": "batch=8"},
            "note: a run would be refused: arm 'mine' already has trials with recipe.batch = 4, which is now 8; copy",
        ),
        ({"before": "FACTOR *", "after": "3 * FACTOR *"}, ": changing.py has changed since, or what it imports; copy"),
        (
            {"factor": 3.0},
            ": changing.py is the same; what it imports has changed, a file beside it or this checkout; copy",
        ),
        (
            {"before": "reduction=2", "after": "reduction=3"},
            "note: a run would be refused: this study has searched with reduction = 2, which is now 3; "
            "write ASHA(reduction=2), copy",
        ),
        (
            {"before": "trials=2, reduction=2", "after": "trials=2, reduction=3, parallel=1"},
            "this study has searched with reduction = 2, which is now 3, and parallel = 2, which is now 1; "
            "write ASHA(reduction=2, parallel=2), copy",
        ),
    ],
)
def test_a_plan_says_why_a_run_would_be_refused(
    change: dict[str, str], said: str, written: Written, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in planned(written(**change), results, capsys)


@pytest.mark.parametrize("change", [{}, {"before": "import ASHA", "after": "import  ASHA"}])
def test_a_plan_of_a_study_that_goes_on_says_nothing_more(
    change: dict[str, str], written: Written, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert planned(written(**change), results, capsys) == ""


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ("seeds=12, race_from=3", ""),
        ("seeds=10, race_from=3", ""),
        ("seeds=24, race_from=3", ""),
        ("seeds=12", "12 would lose that; write seeds=12, race_from=3, copy the study file"),
        ("seeds=12, race_from=4", "4, 8 and 12 would lose that"),
        ("seeds=6, race_from=3", "3 and 6 would lose that"),
    ],
)
def test_what_a_race_has_looked_at_stays_looked_at(
    seeds: str, said: str, written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = load(written("seeds=2", "seeds=12, race_from=3"))
    study, identity = file.study, file.study.shift.identity()
    ledger = Ledger(Store(tmp_path / "results"), file.name, list(study.arms))
    ledger.announce(header(study, file.name, file.question, identity, file.source, "2026-01-01T00:00:00+00:00"))
    row = study.row("mine")
    ledger.ask(Ask("mine", "confirm", 0, row.trial(row.defaults, 1, identity, ())))
    printed = planned(written("seeds=2", seeds), tmp_path / "results", capsys)
    assert said in printed
    assert bool(printed) is bool(said)
    assert not said or "looked at with 3, 6 and 12 seeds" in printed


@pytest.mark.parametrize("function", ["data", "identity"])
def test_what_a_study_on_record_raises_now_is_said_in_a_line(
    function: str, written: Written, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if function == "data":
        change = {"before": "    def losses", "after": "    def data(self):\n        open('gone.npz')\n    def losses"}
        said = "note: Weighted.data raises FileNotFoundError: [Errno 2] No such file or directory: 'gone.npz' at chang"
    else:
        shift = "class Own(type(town())):\n    def identity(self):\n        {}['name']\nstudy = Study(\n    shift=Own("
        change = {"before": "study = Study(\n    shift=town(", "after": shift}
        said = "note: a run would be refused: the shift Own raises KeyError: 'name' at changing.py:"
    printed = planned(written(**change), results, capsys)
    assert printed.startswith(said), printed
    assert printed.count("\n") == 1


def test_a_study_without_the_files_of_its_methods_is_refused_before_anything_trains(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written("    def losses", "    def data(self):\n        raise ValueError('no classes.npz')\n    def losses")
    assert main([str(file), "--results", str(tmp_path / "none")]) == 2
    assert "error: Weighted.data raises ValueError: no classes.npz at changing.py:" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_another_torch_is_named(written: Written, results: Path) -> None:
    file = load(written(factor=3.0))
    ledger = Ledger(Store(results), file.name, list(file.study.arms))
    record = ledger.records[ledger.asks[0].trial.id]
    ledger.records[record.trial.id] = replace(record, provenance={"torch": "1.0"})
    with pytest.raises(BadInput, match=r": torch was 1\.0, and is [\d.]+"):
        refusals.refuse_changed_trials(file, ledger, file.study.shift.identity())
