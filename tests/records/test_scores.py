"""What a study's journal says of its selector's scores."""

import dataclasses
from pathlib import Path

import pytest

from platform.records.ledger import Ledger
from platform.records.record import Ask, Record, Score
from platform.records.store import JOURNAL, Store
from tests.support.plain_records import END, HEADER, RECORD, REPORTS, TRIAL

STUDY = "question"
ARM = "source only"
ASK = Ask(ARM, "confirm", 0, TRIAL)
OTHER = dataclasses.replace(TRIAL, seed=2)
SCORED = dataclasses.replace(RECORD, reports=REPORTS, end=END)


def journal(folder: Path) -> Path:
    return folder / STUDY / JOURNAL


def written(folder: Path, *scores: Score) -> Store:
    store = Store(folder)
    store.announce(HEADER)
    store.ask(STUDY, ASK)
    for score in scores:
        store.score(STUDY, score)
    return store


@pytest.mark.parametrize("value", [0.0, 1.0, -0.25, 1e-300, -1e300, 1 / 3, 12345678.9])
def test_a_score_comes_back_as_it_is(value: float, tmp_path: Path) -> None:
    store = written(tmp_path, Score(ARM, TRIAL.id, 10, "own/what I made β", value))
    assert store.journal(STUDY).scores == {ARM: {TRIAL.id: {10: {"own/what I made β": value}}}}
    assert store.damages == set()


def test_of_several_the_last_counts_for_each_arm_trial_step_and_selector(tmp_path: Path) -> None:
    store = written(
        tmp_path,
        Score(ARM, TRIAL.id, 10, "a/a", 0.1),
        Score(ARM, TRIAL.id, 20, "a/a", 0.2),
        Score(ARM, OTHER.id, 10, "a/a", 0.3),
        Score(ARM, TRIAL.id, 10, "b/b", 0.4),
        Score(ARM, TRIAL.id, 10, "a/a", 0.5),
        Score(ARM, TRIAL.id, 10, "a/a", 0.6),
        Score("FDA", TRIAL.id, 10, "a/a", 0.7),
    )
    assert store.journal(STUDY).scores == {
        ARM: {TRIAL.id: {10: {"a/a": 0.6, "b/b": 0.4}, 20: {"a/a": 0.2}}, OTHER.id: {10: {"a/a": 0.3}}},
        "FDA": {TRIAL.id: {10: {"a/a": 0.7}}},
    }


def test_a_journal_of_before_has_none(tmp_path: Path) -> None:
    found = written(tmp_path).journal(STUDY)
    assert found.scores == {}
    assert found.scored(SCORED, ARM) is SCORED
    assert Store(tmp_path).journal("another").scores == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_not_written(value: float, tmp_path: Path) -> None:
    store = written(tmp_path)
    before = journal(tmp_path).read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.score(STUDY, Score(ARM, TRIAL.id, 10, "a/a", value))
    assert journal(tmp_path).read_bytes() == before


@pytest.mark.parametrize("before", [b'"value": 0.5', b'"step": 10', b'"select": "a/a"', b'"event": "score"'])
def test_a_line_that_is_damaged_is_named_and_left_out(before: bytes, tmp_path: Path) -> None:
    written(tmp_path, Score(ARM, TRIAL.id, 10, "a/a", 0.25), Score(ARM, TRIAL.id, 10, "a/a", 0.5))
    head, _, tail = journal(tmp_path).read_bytes().rpartition(before)
    journal(tmp_path).write_bytes(head + before[:-1] + b"9" + tail)
    store = Store(tmp_path)
    assert store.journal(STUDY).scores == {ARM: {TRIAL.id: {10: {"a/a": 0.25}}}}
    assert [damage.line for damage in store.damages] == [4]


def test_scores_of_another_study_do_not_count(tmp_path: Path) -> None:
    written(tmp_path, Score(ARM, TRIAL.id, 10, "a/a", 0.5))
    other = Store(tmp_path)
    other.score("other", Score(ARM, TRIAL.id, 10, "a/a", 0.75))
    journal(tmp_path).write_bytes(journal(tmp_path).read_bytes() + (tmp_path / "other" / JOURNAL).read_bytes())
    assert Store(tmp_path).journal(STUDY).scores == {ARM: {TRIAL.id: {10: {"a/a": 0.5}}}}


def test_scores_join_the_metrics_of_their_reports(tmp_path: Path) -> None:
    scores = (
        Score(ARM, TRIAL.id, 10, "a/a", 0.5),
        Score(ARM, TRIAL.id, 30, "a/a", 0.75),
        Score(ARM, OTHER.id, 20, "a/a", 0.1),
    )
    found = written(tmp_path, *scores).journal(STUDY).scored(SCORED, ARM)
    assert [report.metrics.get("a/a") for report in found.reports] == [0.5, None, 0.75]
    for report, before in zip(found.reports, REPORTS, strict=True):
        assert report.metrics.items() >= before.metrics.items()
    bare = [dataclasses.replace(report, metrics=REPORTS[0].metrics) for report in found.reports]
    assert bare == [dataclasses.replace(report, metrics=REPORTS[0].metrics) for report in REPORTS]
    assert dataclasses.replace(found, reports=REPORTS) == SCORED
    assert all("a/a" not in report.metrics for report in REPORTS), "what was given is left as it is"


def test_scores_of_steps_that_are_not_on_record_join_nothing(tmp_path: Path) -> None:
    found = written(tmp_path, Score(ARM, TRIAL.id, 40, "a/a", 0.5)).journal(STUDY)
    assert found.scored(SCORED, ARM) == SCORED
    assert found.scored(RECORD, ARM) == RECORD


def test_a_ledger_has_them_when_it_is_read_and_the_record_has_none(tmp_path: Path) -> None:
    store = written(tmp_path, Score(ARM, TRIAL.id, 20, "a/a", 0.5))
    store.begin(RECORD)
    for report in REPORTS:
        store.report(TRIAL.id, report)
    ledger = Ledger(Store(tmp_path), STUDY, [ARM])
    scored = ledger.scored(ledger.records[TRIAL.id], ARM)
    assert [report.metrics.get("a/a") for report in scored.reports] == [None, 0.5, None]
    assert ledger.has_judged
    assert not Ledger(Store(tmp_path), "another", ["source only"]).has_judged
    read: Record | None = Store(tmp_path).read(TRIAL.id)
    assert read is not None
    assert read.reports == REPORTS
