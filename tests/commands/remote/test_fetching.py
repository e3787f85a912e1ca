"""A study's results from a cluster to this machine, where nothing is overwritten."""

import re
import signal
from pathlib import Path

import pytest

from platform.commands.exits import BadInput
from platform.commands.remote import fetching
from platform.commands.remote.command import main
from platform.records.record import End
from platform.records.store import evidence_file, trial_file
from tests.support.fetched import Fetched
from tests.support.invented_study import study

END = End("complete", None, "", 100)


@pytest.fixture
def fetched(tmp_path: Path) -> Fetched:
    return Fetched(tmp_path)


def test_a_study_is_fetched_with_its_own_trials(fetched: Fetched, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetched.take_over() == 0
    assert fetched.mine.journal("invented") == fetched.theirs.journal("invented")
    assert fetched.reports() == [3, 3]
    assert {path.name for path in fetched.mine.trial_folder("").iterdir()} == {each.trial.id for each in fetched.asks}
    assert {path.name for path in fetched.mine.study_folder("invented").iterdir()} == {"journal.jsonl", "table.md"}
    said = capsys.readouterr().out
    assert "the records of 2 trials" in said
    assert "the table: " in said


def test_fetching_again_brings_what_has_come_since(fetched: Fetched) -> None:
    fetched.take_over()
    fetched.theirs.end(fetched.asks[0].trial.id, END)
    fetched.theirs.conclude("invented", fetched.asks[0].key, END)
    fetched.take_over()
    assert fetched.mine.journal("invented").ends == {fetched.asks[0].key: END}
    assert fetched.mine.read(fetched.asks[0].trial.id) == fetched.theirs.read(fetched.asks[0].trial.id)


def test_the_evidence_of_evaluations_comes_along_and_no_other_file_that_is_called_so(
    fetched: Fetched, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = fetched.asks[0].trial
    for step in (trial.evaluated_steps[0], 7):
        fetched.theirs.storage.write(trial_file(trial.id, evidence_file(step)), b"evidence")
    fetched.take_over()
    assert fetched.mine.evidence(trial.id, trial.evaluated_steps[0]) == b"evidence"
    assert "evidence-7.npz" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError):
        fetched.mine.evidence(trial.id, 7)


def test_what_was_trained_here_stays(fetched: Fetched, capsys: pytest.CaptureFixture[str]) -> None:
    """Another study of this machine has one of the trials, and is further with it."""
    fetched.write(fetched.mine, fetched.asks[1], reports=4)
    fetched.take_over()
    assert fetched.reports() == [3, 4]
    assert "1 trial" in capsys.readouterr().err


def test_another_run_of_the_study_is_not_overwritten(fetched: Fetched) -> None:
    fetched.mine.announce(study(began="2020-01-01T00:00:00+00:00"))
    before = fetched.mine.journal("invented")
    with pytest.raises(BadInput, match="holds another run of invented; move it away"):
        fetched.take_over()
    assert fetched.mine.journal("invented") == before
    assert fetched.reports() == []


@pytest.mark.parametrize("results", ["s3://", "s3://results?colour=red"])
def test_results_of_the_head_that_are_no_bucket_are_one_line(
    results: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(fetching, "prepare_for", lambda _: None)
    monkeypatch.setattr(fetching, "asked", lambda *_: f"PLATFORM_RESULTS=<{results}>\n")
    assert main(["fetch", "invented", "--to", str(tmp_path)]) == 2
    output, error = capsys.readouterr()
    assert output == ""
    assert re.fullmatch(r"error: [^\n]+\n", error), error
    assert "must be s3://BUCKET/PREFIX" in error
