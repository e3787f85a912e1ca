"""`python -m platform.replay`: what it prints of studies, and what it refuses."""

import dataclasses
import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from platform.commands.replay import HEADS, described, main
from platform.records.record import End, Report, StudyHeader
from platform.records.store import Store
from tests.support import invented_study as invented


def written(folder: Path, curves: dict[str, list[list[float]]], **changes: Any) -> StudyHeader:
    """A study's results: a search trial for each curve, that the study stopped where it is short."""
    header = invented.study(*map(invented.arm, curves), **{"rungs": (200,), "smoothing": 2, **changes})
    store = Store(folder)
    store.announce(header)
    for row, number in ((row, number) for row, listed in curves.items() for number in range(len(listed))):
        ask, curve = invented.ask(header, row, "search", number), curves[row][number]
        store.ask(header.name, ask)
        store.begin(invented.begun(ask))
        for step, value in zip(invented.EVALUATED_STEPS, curve, strict=False):
            scores = dict.fromkeys(("source/miou", "oracle/miou"), value)
            store.report(ask.trial.id, Report(step, 1.0, scores, {}))
        short = len(curve) < len(invented.EVALUATED_STEPS)
        end = End("stopped", "below the cut", "", 100 * len(curve)) if short else End("complete", None, "", 400)
        if not short:
            store.end(ask.trial.id, end)
        store.conclude(header.name, ask.key, end)
    return header


CURVES = {
    "source only": [[0.1, 0.2, 0.3, 0.4], [0.3, 0.1, 0.5, 0.6], [0.1, 0.1], [0.0, 0.1]],
    "FDA": [[0.2, 0.2, 0.2, 0.2], [0.1, 0.1], [0.3, 0.3, 0.3, 0.3], [0.1, 0.2]],
}


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = capsys.readouterr().out.splitlines()
    assert max(map(cell_len, lines)) <= 80
    return lines


def tables(lines: list[str]) -> tuple[list[list[str]], list[list[str]]]:
    """What settings make of the rows, and how long they take."""
    effects, times = (number for number, line in enumerate(lines) if line.startswith(HEADS))
    ends = [next((at for at in range(begin, len(lines)) if not lines[at]), len(lines)) for begin in (effects, times)]
    first, second = (
        [line.split() for line in lines[begin + 1 : end]] for begin, end in zip((effects, times), ends, strict=True)
    )
    return first, second


def test_the_command_shows_the_studys_own_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, CURVES)
    assert main([str(tmp_path / "invented")]) == 0
    lines = said(capsys)
    assert lines[0] == "saved: share of the search's steps. whole: trials with whole curves, which alone"
    assert "invented: 8 search trials by source/miou, 4 with whole curves. Nobody knows" in lines
    assert "its own setting: 1 in 2, mean of 2, parallel 4, promote no; rungs 200" in lines
    assert "  source only                   25 %      2/4      2   0.0000        kept     0" in lines
    assert "  own    2    2        4      no      25 %      4/8   0.0000   0.0000   0/2    0" in lines
    assert "grace 1 in mean parallel promote      1 slot     2 slots     4 slots     8 slots" in lines
    assert "  own    2    2        4      no        24 s        12 s         8 s         4 s" in lines


def test_what_stopping_lost_is_not_told_of_rows_with_fewer_than_two_whole_curves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The only trial that was not stopped is the best of itself, whatever was stopped."""
    written(tmp_path, {"FDA": [[0.2] * 4, [0.1, 0.1], [0.1, 0.1]]})
    assert main([str(tmp_path / "invented")]) == 0
    lines = said(capsys)
    text = " ".join(" ".join(lines).split())
    assert "only a study of the same rows that stops no trial, ASHA(grace=1.0), shows what stopping costs" in text
    assert "  FDA                           33 %      2/3      1        -           -     0" in lines
    assert "  own    2    2        3      no      33 %      2/3        -        -     -    0" in lines


def test_nothing_is_said_of_what_stopping_costs_where_every_curve_is_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, {"FDA": [[0.1] * 4, [0.4] * 4]}, parallel=2)
    assert main([str(tmp_path / "invented")]) == 0
    assert "invented: 2 search trials by source/miou, 2 with whole curves." in said(capsys)


def test_the_command_replays_every_combination(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, CURVES)
    given = ["--grace", "0.25", "0.75", "--reduction", "2", "3", "--smoothing", "1", "2", "--parallel", "1"]
    assert main([str(tmp_path), *given]) == 0
    effects, times = tables(said(capsys))
    combinations = itertools.product(("0.25", "0.75"), ("2", "3"), ("1", "2"))
    settings = [("own", "2", "2", "4"), *((*each, "1") for each in combinations)]
    assert [tuple(row[:4]) for row in effects] == [tuple(row[:4]) for row in times] == settings
    late = next(row for row in effects if row[:3] == ["0.75", "2", "1"])
    assert late[5:8] == ["0-25", "%", "0/8"]
    assert late[-1] == "4", "open: their curves end before the rung"


def test_an_open_trial_makes_two_ends_of_the_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second for each evaluation: four trials lack two each, which nobody may have stopped."""
    written(tmp_path, CURVES)
    assert main([str(tmp_path), "--grace", "0.75", "--smoothing", "1", "--parallel", "1", "--slots", "1"]) == 0
    assert [row[5:] for row in tables(said(capsys))[1]] == [["24", "s"], ["24-32", "s"]]


def test_settings_with_the_same_rungs_are_replayed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So are more at a time than a row has trials."""
    written(tmp_path, CURVES)
    given = ["--grace", "0.4", "0.45", "0.75", "--parallel", "4", "8"]
    assert main([str(tmp_path), *given]) == 0
    lines = said(capsys)
    assert [tuple(row[:4]) for row in tables(lines)[0]] == [
        ("own", "2", "2", "4"),
        ("0.75", "2", "2", "4"),
    ]
    assert "rungs 200: grace own or 0.4 or 0.45, 1 in 2, mean of 2" in lines
    assert "rungs 300: grace 0.75, 1 in 2, mean of 2" in lines


def test_another_rule_is_replayed_at_the_studys_own_rungs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Grace 0.15 of 400 steps wants them at 60, 120 and 240; from the first of them they would lie at 100 and 200."""
    written(tmp_path, CURVES, rungs=(100, 200, 300))
    assert main([str(tmp_path), "--promote", "yes", "--parallel", "1"]) == 0
    assert [line for line in said(capsys) if line.startswith("rungs")] == [
        "rungs 100, 200, 300: grace own, 1 in 2, mean of 2"
    ]


def test_a_study_without_rungs_is_replayed_on_other_slots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What failed has no whole curve either, and nothing was stopped."""
    written(tmp_path, {"FDA": [[0.1] * 4, [0.4] * 4]}, rungs=(), parallel=2)
    assert main([str(tmp_path / "invented"), "--promote", "yes", "--parallel", "1"]) == 0
    lines = said(capsys)
    assert "Nobody knows" not in " ".join(lines)
    assert "rungs none: grace own, 1 in 2, mean of 2" in lines


def test_rows_that_were_renamed_have_searched_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = written(tmp_path, {"FDA": [[0.1] * 4, [0.4] * 4]})
    Store(tmp_path).announce(dataclasses.replace(header, arms=(invented.arm("another"),), reference="another"))
    assert main([str(tmp_path)]) == 0
    assert said(capsys)[-2] == "invented: nothing was searched"


def test_wide_names_do_not_widen_the_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, {"领域自适应" * 6: [[0.1] * 4, [0.4] * 4]}, name="研究" * 20)
    assert main([str(tmp_path), "--grace", "0.2", "0.3", "0.75", "--smoothing", "1"]) == 0
    assert any("研究" in line for line in said(capsys))


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((24.0, 24.2), "24 s"),
        ((24.0, 30.0), "24-30 s"),
        ((110.0, 130.0), "2 min"),
        ((6600.0, 7300.0), "1.8-2.0 h"),
        ((3.6e6, 4.0e6), "1000-1111 h"),
    ],
)
def test_both_ends_of_a_time_have_one_unit(ends: tuple[float, float], text: str) -> None:
    assert described(*ends) == text


def test_times_of_many_slots_take_several_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, CURVES)
    assert main([str(tmp_path), "--slots", "1", "2", "4", "8", "2", "100000"]) == 0
    lines = said(capsys)
    assert f"{HEADS}      1 slot     2 slots     4 slots     8 slots" in lines
    assert f"{HEADS} 100000 slots" in lines


def test_the_other_rule_is_replayed_beside_the_studys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = written(tmp_path, {"FDA": [[0.1] * 4, [0.4] * 4, [0.2] * 4, [0.3] * 4]}, parallel=2)
    given = ["--promote", "yes", "no", "--parallel", "1", "4", "--slots", "1", "3"]
    assert main([str(tmp_path / header.name), *given]) == 0
    effects, times = tables(said(capsys))
    rules = [("2", "no"), ("1", "yes"), ("1", "no"), ("4", "yes"), ("4", "no")]
    assert [(row[3], row[4]) for row in effects] == rules
    # By hand, a second for each evaluation: the third trial alone is not among the best half when it comes.
    assert effects[2][5:8] == ["12", "%", "1/4"]
    assert times[2][5:] == ["14", "s", "14", "s"]
    # The first waits for another, which is better, and the third for the fourth.
    assert effects[1][5:8] == ["25", "%", "2/4"]
    assert times[1][5:] == ["12", "s", "12", "s"]


@pytest.mark.parametrize(
    ("searched", "why"),
    [
        ({"parallel": 2}, ""),
        ({"parallel": 2, "compares": True}, "source/miou compares trials: each is judged here by its last score."),
        ({}, "an earlier version searched this study, in which the order of reports in time decided."),
    ],
    ids=["by the clock", "by others", "by time"],
)
def test_a_replay_says_where_the_studys_own_setting_need_not_decide_as_the_study_did(
    searched: dict[str, Any], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = written(tmp_path, CURVES, **searched)
    assert main([str(tmp_path / header.name)]) == 0
    text = " ".join(" ".join(said(capsys)).split())
    assert why in text
    assert ("need not be what the study did" in text) == bool(why)


def test_without_a_grace_the_first_rung_stays_and_no_mean_reaches_into_the_warm_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, CURVES)
    assert main([str(tmp_path / "invented"), "--reduction", "3", "--smoothing", "1", "3"]) == 0
    out = capsys.readouterr().out
    assert "rungs 200: grace own, 1 in 3, mean of 1" in out
    assert "rungs 300: grace own, 1 in 3, mean of 3" in out


@pytest.mark.parametrize("method", ["Adversarial", "OfAStudyFile"])
def test_the_longest_warm_up_of_the_arms_moves_the_rungs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    """The header says it, so that a method which only a study file knows is replayed like any other."""
    ramped = dataclasses.replace(invented.arm("adversarial"), method=method, warm_up=0.5)
    header = invented.study(invented.arm("source only"), ramped, rungs=(300,))
    store = Store(tmp_path)
    store.announce(header)
    ask = invented.ask(header, "adversarial", "search", 0)
    store.ask(header.name, dataclasses.replace(ask, trial=dataclasses.replace(ask.trial, method=method)))
    assert main([str(tmp_path), "--grace", "0.25", "--smoothing", "1"]) == 0
    assert "rungs 300: grace 0.25, 1 in 2, mean of 1" in capsys.readouterr().out


def test_a_whole_curve_that_another_study_left_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = written(tmp_path, CURVES)
    trial = invented.ask(header, "FDA", "search", 1).trial
    for step in (300, 400):
        Store(tmp_path).report(trial.id, Report(step, 1.0, {"source/miou": 0.9}, {}))
    assert main([str(tmp_path / "invented")]) == 0
    text = capsys.readouterr().out
    assert "  FDA                           25 %      2/4      3   0.6000     stopped     0" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "RESULTS must be a folder of results, or of one study in it, got "),
        ([".", "--grace", "0"], "--grace must be a fraction of the steps, a number above 0 and at most 1, which stops"),
        ([".", "--reduction", "1"], "--reduction must be a whole number of at least 2, got 1"),
        ([".", "--smoothing", "0"], "--smoothing must be a whole number of at least 1, got 0"),
        ([".", "--parallel", "0"], "--parallel must be a whole number of at least 1, got 0"),
        ([".", "--slots", "0"], "--slots must be whole numbers of at least 1, got 0"),
        (["ungraced", "--smoothing", "2"], "ungraced had no rung that others could begin at; give --grace"),
        (["copied/alone"], "the records of trials must lie beside their study, got none of alone in "),
        (["renamed/other"], "a study's folder must keep its name, got other, which holds the journal of 'invented'; "),
        (["s3//KEY:SECRET@b/x"], "a bucket must be s3://BUCKET/PREFIX, and its options "),
        (["s3:/KEY:SECRET@b/x"], "a bucket must be s3://BUCKET/PREFIX, and its options "),
        (["~nobody-here/results"], "results must lie in a folder, got '~nobody-here/results', and no such home"),
        (["torn/invented"], "the journal of invented has lost its header; run the study again, which writes it"),
    ],
)
def test_a_mistake_is_said_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    written(tmp_path, CURVES)
    written(tmp_path, {"source only": [[0.1] * 4]}, name="ungraced", rungs=(), smoothing=3)
    written(tmp_path / "copied", CURVES, name="alone")
    shutil.rmtree(tmp_path / "copied" / "trials")
    written(tmp_path / "renamed", CURVES)
    (tmp_path / "renamed" / "invented").rename(tmp_path / "renamed" / "other")
    written(tmp_path / "torn", CURVES)
    journal = tmp_path / "torn" / "invented" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[40:])
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1
    assert "SECRET" not in error


def test_a_study_that_cannot_be_read_does_not_keep_the_others_from_being_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, CURVES)
    written(tmp_path, CURVES, name="once")
    (tmp_path / "once").rename(tmp_path / "renamed")
    assert main([str(tmp_path)]) == 0
    out, error = capsys.readouterr()
    assert "invented: 8 search trials" in out
    assert error.startswith("note: a study's folder must keep its name, got renamed")
    (tmp_path / "invented").rename(tmp_path / "renamed too")
    assert main([str(tmp_path)]) == 2
    out, error = capsys.readouterr()
    assert (out, error[:6], error.count("\n")) == ("", "error:", 1)


def test_a_study_without_a_search_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Store(tmp_path).announce(invented.study(rungs=(), reduction=0, smoothing=0))
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.rstrip().endswith("\n\ninvented: nothing was searched")
