"""Who judges which arm, from which files; what ends a study; and which selector may go on with another's scores."""

import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from platform.commands.before.refusals import refuse_another_search
from platform.commands.exits import BadInput
from platform.commands.study import main
from platform.design.header import header as header_of
from platform.design.loading import StudyFile
from platform.records.ledger import Ledger, StoreFault
from platform.records.record import Ask, Score
from platform.records.store import Store, evidence_file
from platform.scores.evidence import MOST_BYTES, Evidence
from platform.scores.selectors.judgement import Misjudged, judged
from platform.scores.selectors.selector import Selector
from platform.search.judge import judges_of
from tests.support.judged_study import STUDY, Judged, Sure, by, evidence
from tests.support.own_selectors import loaded, of
from tests.support.own_selectors import study as text_of

np.ma.count([])  # imports what np.unique would, see test_choice.py
ARM, BOUND = "source only", "target supervised"
SMALL = replace(STUDY, arms={ARM: STUDY.arms[ARM]}, seeds=1)


# Who judges


@pytest.mark.parametrize("select", ["source/miou", "source/accuracy", "oracle/miou", "oracle/accuracy"])
def test_nobody_judges_by_what_trials_report(select: str, tmp_path: Path) -> None:
    assert judges_of(by(select), Store(tmp_path)) == {}


@pytest.mark.parametrize("select", ["target/entropy", "population/ensv", Sure()])
def test_a_selector_judges_every_arm_but_an_upper_bound(select: str | Sure, tmp_path: Path) -> None:
    study = by(select)
    judges = judges_of(study, Store(tmp_path))
    assert list(judges) == [ARM]
    assert judges[ARM].name == study.selected_by
    assert judges[ARM].compares == (select == "population/ensv")


def test_a_judge_reads_what_trials_left(tmp_path: Path) -> None:
    driver = Judged(tmp_path, by(Sure(), SMALL)).run(7)
    (judge,) = judges_of(driver.study, driver.store).values()
    trials = [ask.trial for ask in driver.ledger.asks if driver.ledger.records[ask.trial.id].reports]
    assert len(trials) >= 2
    scores = judge.scores([trial.id for trial in trials], 2)
    assert scores == judged(Sure(), [evidence(trial, 2) for trial in trials])
    assert judge.scores([trial.id for trial in trials], 2) == scores
    assert judge.scores([], 2) == []


def test_trials_that_are_compared_are_judged_again_only_where_another_one_has_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = list[tuple[str, ...]]()

    def counted(selector: Selector, seen: Sequence[Evidence]) -> list[float]:
        pools.append(tuple(sha256(pickle.dumps(each)).hexdigest() for each in seen))
        return judged(selector, seen)

    monkeypatch.setattr("platform.search.judge.judged", counted)
    Judged(tmp_path, by("population/ensv", SMALL)).run()
    assert len(pools) == len(set(pools)) > 2
    assert max(map(len, pools)) > 1
    first = set(pools)
    pools.clear()
    Judged(tmp_path, by("population/ensv", SMALL)).run()
    assert len(pools) == len(set(pools))
    assert set(pools) <= first


# Evidence that is not there


def damaged(content: bytes) -> bytes:
    return content[:2000] + bytes([content[2000] ^ 0x40]) + content[2001:]


DAMAGES: dict[str, tuple[Callable[[bytes], bytes | None], str]] = {
    "missing": (lambda content: None, "No such file"),
    "empty": (lambda content: b"", "no evidence of an evaluation"),
    "cut off": (lambda content: content[: len(content) // 2], "no evidence of an evaluation"),
    "damaged": (damaged, "no evidence of an evaluation"),
    "something else": (lambda content: b"a text", "no evidence of an evaluation"),
    "too large": (lambda content: content + b"0" * MOST_BYTES, "no evidence of an evaluation"),
}


@pytest.mark.parametrize("select", ["target/view_consistency", "population/ensv", Sure()], ids=str)
@pytest.mark.parametrize("what", DAMAGES)
def test_evidence_that_cannot_be_read_ends_the_study_and_the_remedy_is_one(
    what: str, select: str | Sure, tmp_path: Path
) -> None:
    first = Judged(tmp_path, by("source/miou", SMALL), name="first").run(2)
    trial = first.ledger.asks[0].trial
    file = first.store.trial_folder(trial.id) / evidence_file(4)
    changed = DAMAGES[what][0](file.read_bytes())
    file.unlink() if changed is None else file.write_bytes(changed)

    with pytest.raises(StoreFault) as caught:
        Judged(tmp_path, by(select, SMALL)).run()
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith(f"{tmp_path}/trials/{trial.id}/evidence-4.npz must hold the evidence that ")
    assert f"that {by(select).selected_by} judges by, got " in said
    assert DAMAGES[what][1] in said
    assert said.endswith(f"; remove the folder of {trial.id}, and the trial is trained again")

    for path in file.parent.iterdir():
        path.unlink()
    again = Judged(tmp_path, by(select, SMALL)).run()
    assert again.search.is_over
    assert again.score(again.ledger.asks[0], 4) is not None


def test_a_selector_that_fails_ends_the_study_and_a_mended_one_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "studies"
    fails = text_of(of("return 1.0 if evidence.maps.shape[1:] == (8, 16) else 1 / 0"))
    with (
        loaded(folder, fails) as file,
        pytest.raises(Misjudged, match=r"ZeroDivisionError: division by zero at own\.py:"),
    ):
        Judged(tmp_path, by(file.study.select, SMALL)).run()
    (asked,) = Store(tmp_path).journal("judged").asks
    record = Store(tmp_path).read(asked.trial.id)
    assert record is not None
    assert [report.step for report in record.reports] == [2], "what was trained is kept"
    assert Store(tmp_path).journal("judged").scores == {}
    driver = Judged(tmp_path, by(Sure(), SMALL)).run()
    assert driver.search.is_over


# A selector that has changed

FIELDS = "weight: float = 1.0"
BODY = "# most\nreturn self.weight * helper.first(evidence)"
TEXT = text_of(of(BODY, fields=FIELDS), "import helper")
HELPER = "SCALE = 2.0\n\n\ndef first(evidence):\n    return SCALE * float(evidence.target.entropy)\n"


def begun(file: StudyFile, results: Path, judged: bool = True) -> None:
    """Results in which the study has begun, and its selector has judged its first search trial."""
    study, identity = file.study, file.study.shift.identity()
    ledger = Ledger(Store(results), file.name, list(study.arms))
    ledger.announce(header_of(study, file.name, file.question, identity, file.source, "2026-01-01T00:00:00+00:00"))
    row = study.row(ARM)
    phase, seed = ("search", 0) if row.dimensions else ("confirm", 1)
    ask = Ask(ARM, phase, 0, row.trial({}, seed, identity))  # type: ignore[arg-type]
    ledger.ask(ask)
    if judged:
        ledger.store.score(file.name, Score(ARM, ask.trial.id, 2, study.selected_by, 0.5))


def planned(folder: Path, results: Path, capsys: pytest.CaptureFixture[str], text: str, helper: str = HELPER) -> str:
    """What the plan of a changed study says besides the plan."""
    with loaded(folder, text, {"helper.py": helper}) as file:
        assert main([str(file.path), "--plan", "--results", str(results)]) == 0
    return capsys.readouterr().err


@pytest.fixture
def results(tmp_path: Path) -> Path:
    with loaded(tmp_path / "then", TEXT, {"helper.py": HELPER}) as file:
        begun(file, tmp_path / "results")
    return tmp_path / "results"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("Own()", "Own(weight=2.0)", "the selector = 'Own(weight=1.0)', which is now 'Own(weight=2.0)'"),
        (
            "weight: float = 1.0",
            "weight: float = 3.0",
            "the selector = 'Own(weight=1.0)', which is now 'Own(weight=3.0)'",
        ),
        ("self.weight *", "-self.weight *", "Own(weight=1.0) of other code than it has now"),
        ("SCALE = 2.0", "SCALE = 2.5", "Own(weight=1.0) of other code than it has now"),
        ("Own()", "'target/entropy'", "select = 'own/Own', which is now 'target/entropy'"),
        ("class Own(Selector):", "class Own(Selector):\n    name = 'own/other'\n", "select = 'own/Own', which is now"),
    ],
)
def test_a_changed_selector_is_refused_where_another_has_judged(
    before: str, after: str, said: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, helper = (each.replace(before, after) for each in (TEXT, HELPER))
    assert (text, helper) != (TEXT, HELPER)
    printed = planned(results.parent / "now", results, capsys, text, helper)
    assert printed.startswith(f"note: a run would be refused: this study has searched with {said}"), printed
    assert printed.endswith("; copy the study file to a new name, or start over with --fresh, which deletes nothing\n")
    assert printed.count("\n") == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# most", "# least, and a comment"),
        ("# most\n", '"""A docstring."""\n'),
        ("self, evidence)", "self, evidence: object) -> float"),
        ("SCALE = 2.0", "SCALE = 2.0  # twice"),
        ("seeds=1", "seeds=2"),
        ("", ""),
    ],
)
def test_the_same_selector_goes_on_whatever_its_comments_say(
    before: str, after: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, helper = (each.replace(before, after) for each in (TEXT, HELPER)) if before else (TEXT, HELPER)
    assert planned(results.parent / "now", results, capsys, text, helper) == ""


def test_a_selector_that_has_judged_nothing_yet_may_be_mended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with loaded(tmp_path / "then", TEXT, {"helper.py": HELPER}) as file:
        begun(file, tmp_path / "results", judged=False)
    text = TEXT.replace("self.weight *", "-self.weight *")
    assert planned(tmp_path / "now", tmp_path / "results", capsys, text) == ""


def test_a_changed_selector_of_checkpoints_is_refused_where_nothing_is_searched(tmp_path: Path) -> None:
    fixed = TEXT.replace("learning_rate=LogUniform(1e-3, 1e-1)", "learning_rate=0.01")
    fixed = fixed.replace("    search=ASHA(trials=2, grace=0.5, reduction=2, smoothing=1),\n", "")
    fixed = fixed.replace("seeds=1", "checkpoint='selected',\n    seeds=1")
    with loaded(tmp_path / "then", fixed, {"helper.py": HELPER}) as file:
        begun(file, tmp_path / "results")
    with loaded(tmp_path / "now", fixed.replace("self.weight *", "-self.weight *"), {"helper.py": HELPER}) as file:
        ledger = Ledger(Store(tmp_path / "results"), file.name, [ARM])
        with pytest.raises(BadInput, match="of other code than it has now"):
            refuse_another_search(file.study, ledger)
