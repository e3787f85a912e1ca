"""`python -m platform.replay`: what it prints of studies, and what it refuses."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pytest

from platform.commands.replay import main
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


def test_the_command_shows_the_studys_own_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, CURVES)
    assert main([str(tmp_path / "invented")]) == 0
    text = capsys.readouterr().out
    assert "invented: 8 search trials by source/miou\n" in text
    assert "  own      2       2       4    stop     25 %     4/8  0.0000  0.0000   0/2    0" in text
    assert "grace own, one in 2, mean of 2, 4 at once: rungs 200" in text
    assert "the whole study, by slots: 24 s on 1, 12 s on 2, 8 s on 4, 4 s on 8" in text
    assert "  source only                        25 %      2/4   0.0000        kept     0" in text


def test_the_command_replays_every_combination(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, CURVES)
    given = ["--grace", "0.25", "0.75", "--reduction", "2", "3", "--smoothing", "1", "2", "--parallel", "1"]
    assert main([str(tmp_path), *given]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    first = lines.index("grace one in mean of at once    rule    saved stopped  regret   worst  lost open") + 1
    table = [line.split() for line in lines[first : first + 9]]
    combinations = itertools.product(("0.25", "0.75"), ("2", "3"), ("1", "2"))
    assert [tuple(row[:4]) for row in table] == [("own", "2", "2", "4"), *((*each, "1") for each in combinations)]
    assert "grace 0.75, one in 2, mean of 1, 1 at once: rungs 300" in out, "where four trials have no value any more"
    late = next(row for row in table if row[:3] == ["0.75", "2", "1"])
    assert late[5:8] == ["0-25", "%", "0/8"]
    assert late[-1] == "4", "open: their curves end before the rung"
    assert max(map(len, lines)) <= 80


def test_the_other_rule_is_replayed_beside_the_studys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = written(tmp_path, {"FDA": [[0.1] * 4, [0.4] * 4, [0.2] * 4, [0.3] * 4]}, parallel=2)
    assert main([str(tmp_path / header.name), "--both-rules", "--parallel", "1", "4", "--slots", "1", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = [line.split() for line in lines if line.startswith("  own")]
    rules = [("2", "stop"), ("1", "promote"), ("1", "stop"), ("4", "promote"), ("4", "stop")]
    assert [(row[3], row[4]) for row in table] == rules
    times = [line.removeprefix("the whole study, by slots: ") for line in lines if line.startswith("the whole")]
    # By hand, a second for each evaluation: the third trial alone is not among the best half when it comes.
    assert table[2][5:8] == ["12", "%", "1/4"]
    assert times[2] == "14 s on 1, 14 s on 3"
    # The first waits for another, which is better, and the third for the fourth.
    assert table[1][5:8] == ["25", "%", "2/4"]
    assert times[1] == "12 s on 1, 12 s on 3"


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
    said = " ".join(capsys.readouterr().out.split())
    assert said.endswith(why or "not the start of workers.")
    assert ("need not be what the study did" in said) == bool(why)


def test_without_a_grace_the_first_rung_stays_and_no_mean_reaches_into_the_warm_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, CURVES)
    assert main([str(tmp_path / "invented"), "--reduction", "3", "--smoothing", "1", "3"]) == 0
    out = capsys.readouterr().out
    assert "grace own, one in 3, mean of 1, 4 at once: rungs 200" in out
    assert "grace own, one in 3, mean of 3, 4 at once: rungs 300" in out


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
    assert "grace 0.25, one in 2, mean of 1, 4 at once: rungs 300" in capsys.readouterr().out


def test_a_whole_curve_that_another_study_left_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = written(tmp_path, CURVES)
    trial = invented.ask(header, "FDA", "search", 1).trial
    for step in (300, 400):
        Store(tmp_path).report(trial.id, Report(step, 1.0, {"source/miou": 0.9}, {}))
    assert main([str(tmp_path / "invented")]) == 0
    text = capsys.readouterr().out
    assert "  FDA                                25 %      2/4   0.6000     stopped     0" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "RESULTS must be a folder of results, or of one study in it, got "),
        ([".", "--grace", "0"], "ASHA.grace must be above 0 and at most 1, which stops no trial, got 0.0"),
        ([".", "--reduction", "1"], "ASHA.reduction must be a whole number of at least 2, got 1"),
        ([".", "--smoothing", "0"], "ASHA.smoothing must be a whole number of at least 1, got 0"),
        ([".", "--parallel", "0"], "ASHA.parallel must be a whole number of at least 1, got 0"),
        ([".", "--slots", "0"], "--slots must be whole numbers of at least 1, got 0"),
        (["ungraced", "--smoothing", "2"], "ungraced had no rung that others could begin at; give --grace"),
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
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1


def test_a_study_without_a_search_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Store(tmp_path).announce(invented.study(rungs=(), reduction=0, smoothing=0))
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == "invented: nothing was searched"
