"""A selector at work in a study: it stops, is told to Optuna, picks, and decides the same when the study goes on."""

import functools
import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState

from platform.design.asha import cut
from platform.methods import SourceOnly
from platform.records.record import Ask
from platform.records.store import JOURNAL
from platform.scores.selectors import Selector
from platform.scores.selectors.judgement import judged
from platform.search.proposals import history
from platform.study import ASHA, Arm, OneOf, Study
from tests.support.judged_study import RATES, STUDY, Judged, Sure, by, evidence

np.ma.count([])  # imports what np.unique would, see test_choice.py
ARM, BOUND = "source only", "target supervised"
ALONE: tuple[str | Selector, ...] = ("target/view_consistency", Sure())
COMPARING: tuple[str | Selector, ...] = ("population/ensv", "population/gated_ranks")
SMALL = replace(STUDY, arms={ARM: STUDY.arms[ARM]}, seeds=1)
PATIENT = ASHA(trials=6, grace=1.0, reduction=2, smoothing=2)
"""The same trials, none of which is stopped."""


STUDIES = {each.selected_by: each for each in (by(select, SMALL) for select in (*ALONE, *COMPARING))}


def name(select: str | Selector) -> str:
    return by(select).selected_by


@pytest.fixture(params=(*ALONE, *COMPARING), ids=name)
def study(request: pytest.FixtureRequest) -> Study:
    """The study, by every selector in turn."""
    return by(request.param, SMALL)


@pytest.fixture(params=ALONE, ids=name)
def alone(request: pytest.FixtureRequest) -> Study:
    """The study, by every selector that judges a trial by itself."""
    return by(request.param, SMALL)


@pytest.fixture(params=COMPARING, ids=name)
def comparing(request: pytest.FixtureRequest) -> Study:
    """The study, by every selector that judges trials by each other."""
    return by(request.param, SMALL)


def lines(folder: Path, event: str, study: str = "judged") -> list[dict[str, Any]]:
    """The lines of a journal of one event."""
    text = (folder / study / JOURNAL).read_text(encoding="utf-8")
    return [line for line in map(json.loads, text.splitlines()) if line["event"] == event]


def edited(folder: Path, changed: Callable[[int, bytes], bytes]) -> None:
    """Change the lines of scores in a journal, each by its number."""
    file, number, kept = folder / "judged" / JOURNAL, 0, []
    for line in file.read_bytes().splitlines(keepends=True):
        if b'"event": "score"' in line:
            line, number = changed(number, line), number + 1
        kept.append(line)
    file.write_bytes(b"".join(kept))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Study], Judged]:
    """A study that ran to its end in one go."""

    @functools.cache
    def ran(selected_by: str) -> Judged:
        return Judged(tmp_path_factory.mktemp("undisturbed"), STUDIES[selected_by]).run()

    return lambda study: ran(study.selected_by)


# What it decides


def test_the_scores_are_those_of_what_the_trials_left(study: Study, undisturbed: Callable[[Study], Judged]) -> None:
    driver, selector = undisturbed(study), study.selector
    assert selector is not None
    for phase in ("search", "confirm"):
        for step in (2, 4, 6, 8):
            asks = [ask for ask in driver.ledger.asked(ARM, phase) if driver.ledger.record(ask).step >= step]
            seen = [evidence(ask.trial, step) for ask in asks]
            scores = judged(selector, seen) if selector.compares() else [judged(selector, [each])[0] for each in seen]
            assert [driver.score(ask, step) for ask in asks] == scores


def test_the_scores_stop_trials_at_rungs(study: Study, undisturbed: Callable[[Study], Judged]) -> None:
    driver = undisturbed(study)
    (rung,) = study.rungs
    ends = [driver.ledger.ended(ask) for ask in driver.ledger.asked(ARM)]
    reasons = [end.reason for end in ends if end is not None and end.reason]
    assert all(reason.startswith(f"rung 4: mean of the last 2 {study.selected_by} ") for reason in reasons)
    assert study.selector is not None
    seen: list[Ask] = []
    for ask in driver.ledger.asked(ARM, "search"):
        seen.append(ask)
        curves = [judged(study.selector, [evidence(each.trial, step) for each in seen]) for step in (2, rung)]
        values = [float(np.mean(values)) for values in zip(*curves, strict=True)]
        end = driver.ledger.ended(ask)
        assert end is not None
        assert (end.state == "stopped") == (values[-1] < cut(values, 2))
    assert len(seen) == 6
    assert len(driver.rates(ARM, "stopped")) == len(reasons) >= 2


def test_the_best_of_the_complete_is_confirmed(study: Study, undisturbed: Callable[[Study], Judged]) -> None:
    driver = undisturbed(study)
    complete = [ask for ask in driver.ledger.asked(ARM, "search") if driver.ledger.record(ask).step == 8]
    best = max(complete, key=lambda ask: driver.score(ask, 8))
    assert driver.winner(ARM) == best.trial.recipe["learning_rate"]


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_rows_that_share_trials_each_judge_them_by_their_own(comparing: Study, slots: int, tmp_path: Path) -> None:
    """One search has six points and the other two of them: one way to compare knows nothing of the other."""
    some = Arm(SourceOnly, learning_rate=OneOf(RATES[2], RATES[3]))
    study = replace(comparing, arms={ARM: SMALL.arms[ARM], "some": some}, search=PATIENT)
    selector = study.selector
    assert selector is not None
    Judged(tmp_path, study, slots=slots).run(9)
    driver = Judged(tmp_path, study, slots=slots).run()
    shared = {ask.trial.id for ask in driver.ledger.asked("some", "search")}
    assert len(shared) == 2
    assert shared < {ask.trial.id for ask in driver.ledger.asked(ARM, "search")}
    for row in study.arms:
        asks = driver.ledger.asked(row, "search")
        for step in (2, 4, 6, 8):
            scores = judged(selector, [evidence(ask.trial, step) for ask in asks])
            assert [driver.score(ask, step) for ask in asks] == scores
        best = max(asks, key=lambda ask: driver.score(ask, 8))
        assert driver.winner(row) == best.trial.recipe["learning_rate"]
    seen = {row: {trial: driver.search._seen[row][trial].reports[-1].metrics for trial in shared} for row in study.arms}
    assert seen["some"] != seen[ARM]


def test_other_selectors_pick_other_trials(tmp_path: Path) -> None:
    picked = {
        name(select): Judged(tmp_path / name(select), by(select, SMALL)).run().winner(ARM)
        for select in (*ALONE, "source/miou")
    }
    assert picked == {"target/view_consistency": 0.1, "own/Sure": 0.001, "source/miou": 0.01}


def test_an_upper_bound_is_picked_by_target_labels_whatever_selects(tmp_path: Path) -> None:
    driver = Judged(tmp_path, by("target/view_consistency")).run()
    assert driver.winner(BOUND) == 0.01
    bound = {ask.trial.id for ask in driver.ledger.asked(BOUND)}
    assert not bound & {line["trial"] for line in lines(tmp_path, "score")}
    assert "oracle/miou" in next(
        end.reason for ask in driver.ledger.asked(BOUND) if (end := driver.ledger.ended(ask)) is not None and end.reason
    )


def test_optuna_is_told_the_scores(study: Study, undisturbed: Callable[[Study], Judged]) -> None:
    driver = undisturbed(study)
    asks, search = driver.ledger.asked(ARM, "search"), driver.search._searches[ARM]
    told = history(study.row(ARM).dimensions, [search._tried(number) for number in range(len(asks))]).trials
    for ask, trial in zip(asks, told, strict=True):
        step = driver.ledger.record(ask).step
        assert trial.params["learning_rate"] == ask.trial.recipe["learning_rate"]
        assert trial.intermediate_values == {step: driver.score(ask, step)}
        assert (trial.state, trial.value) == (
            (TrialState.COMPLETE, driver.score(ask, 8)) if step == 8 else (TrialState.PRUNED, None)
        )


# What is written down


def test_a_score_is_written_once(alone: Study, undisturbed: Callable[[Study], Judged]) -> None:
    driver = undisturbed(alone)
    written = Counter((line["trial"], line["step"]) for line in lines(driver.store.folder, "score"))
    records = [driver.ledger.record(ask) for ask in driver.ledger.asks]
    assert written == Counter((record.trial.id, report.step) for record in records for report in record.reports)
    assert {line["select"] for line in lines(driver.store.folder, "score")} == {alone.selected_by}


def test_a_score_that_others_change_is_written_where_it_changes(
    comparing: Study, undisturbed: Callable[[Study], Judged]
) -> None:
    folder = undisturbed(comparing).store.folder
    last: dict[tuple[str, int], float] = {}
    for line in lines(folder, "score"):
        assert last.get((line["trial"], line["step"])) != line["value"]
        last[line["trial"], line["step"]] = line["value"]
    assert len(last) < len(lines(folder, "score"))


def test_to_run_a_study_again_that_has_ended_writes_nothing(
    study: Study, undisturbed: Callable[[Study], Judged]
) -> None:
    folder = undisturbed(study).store.folder
    before = (folder / "judged" / JOURNAL).read_bytes()
    assert Judged(folder, study).run().reports == 0
    assert (folder / "judged" / JOURNAL).read_bytes() == before


def test_records_of_trials_hold_no_score(study: Study, undisturbed: Callable[[Study], Judged]) -> None:
    driver = undisturbed(study)
    for ask in driver.ledger.asked(ARM):
        record = driver.store.read(ask.trial.id)
        assert record is not None
        assert all(study.selected_by not in report.metrics for report in record.reports)


# A study that goes on


@pytest.mark.parametrize("results", [5, 14])
def test_a_study_that_goes_on_decides_the_same(
    study: Study, undisturbed: Callable[[Study], Judged], results: int, tmp_path: Path
) -> None:
    Judged(tmp_path, study).run(results)
    assert Judged(tmp_path, study).run().decisions() == undisturbed(study).decisions()


def test_a_study_on_several_workers_goes_on_with_what_it_has_decided(alone: Study, tmp_path: Path) -> None:
    driver = Judged(tmp_path, alone, slots=3).run(9)
    again = Judged(tmp_path, alone, slots=3)
    assert again.decisions() == driver.decisions()
    scores = {rate: sign * rate for rate in RATES for sign in [1 if alone.selected_by.startswith("target/") else -1]}
    assert again.run().winner(ARM) == max(again.rates(ARM), key=scores.__getitem__)


@pytest.mark.parametrize("what", ["all", "every other", "damaged", "torn"])
def test_scores_that_are_lost_are_made_again(
    alone: Study, undisturbed: Callable[[Study], Judged], what: str, tmp_path: Path
) -> None:
    Judged(tmp_path, alone).run(11)
    assert len(lines(tmp_path, "score")) == 11

    def changed(number: int, line: bytes) -> bytes:
        if what == "damaged":
            return line.replace(b'"value": ', b'"value": 1')
        if what == "torn":
            return line[:20] + b"\n"
        return b"" if what == "all" or number % 2 else line

    edited(tmp_path, changed)
    assert Judged(tmp_path, alone).run().decisions() == undisturbed(alone).decisions()


def test_scores_of_a_study_that_has_ended_are_made_again(
    study: Study, undisturbed: Callable[[Study], Judged], tmp_path: Path
) -> None:
    driver = undisturbed(study)
    shutil.copytree(driver.store.folder, tmp_path, dirs_exist_ok=True)
    edited(tmp_path, lambda number, line: b"")
    again = Judged(tmp_path, study).run()
    assert (again.reports, again.decisions()) == (0, driver.decisions())
    assert again.ledger.by_arm() == driver.ledger.by_arm()


def without_one(study: Study, folder: Path) -> list[int]:
    """The lines of scores without any one of which a study that goes on makes something else of its trials."""
    Judged(folder, study).run(11)
    whole, expected, found = (folder / "judged" / JOURNAL).read_bytes(), Judged(folder, study).ledger.by_arm(), []
    for lost in range(len(lines(folder, "score"))):
        edited(folder, lambda number, line, lost=lost: b"" if number == lost else line)  # type: ignore[misc]
        again = Judged(folder, study)
        if again.ledger.by_arm() != expected:
            found.append(lost)
        (folder / "judged" / JOURNAL).write_bytes(whole)
    return found


def test_any_score_that_is_lost_is_made_again(alone: Study, tmp_path: Path) -> None:
    assert without_one(alone, tmp_path) == []


def test_any_score_that_others_have_changed_is_made_again(comparing: Study, tmp_path: Path) -> None:
    """It is the same where a driver dies while it writes what a new trial changes of the others."""
    assert without_one(comparing, tmp_path) == []


# What another study has trained


def test_another_study_takes_trials_over_and_judges_them_itself(
    alone: Study, undisturbed: Callable[[Study], Judged], tmp_path: Path
) -> None:
    first = Judged(tmp_path, by("source/miou", SMALL), name="first").run()
    second = Judged(tmp_path, alone).run()
    assert second.decisions() == undisturbed(alone).decisions()
    known, wanted = (
        {(ask.trial.id, each.step) for ask in ledger.asks for each in ledger.records[ask.trial.id].reports}
        for ledger in (first.ledger, second.ledger)
    )
    assert second.reports == len(wanted - known) < len(wanted)
    assert lines(tmp_path, "score", "first") == []


def test_trials_that_were_trained_before_are_compared_as_if_they_were_trained_now(
    undisturbed: Callable[[Study], Judged], tmp_path: Path
) -> None:
    study = by("population/ensv", SMALL)
    Judged(tmp_path, by(Sure(), replace(SMALL, search=PATIENT)), name="first").run()
    assert Judged(tmp_path, study).run().winner(ARM) == undisturbed(study).winner(ARM)
