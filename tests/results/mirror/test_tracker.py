"""The tracker: it follows a study into MLflow, whatever dies, hangs or refuses, and never holds the study up."""

import copy
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from platform.commands import tracking
from platform.commands.study import _close
from platform.commands.tracking import main
from platform.records.ledger import Ledger
from platform.records.provenance import ROOT
from platform.records.record import Ask, End
from platform.records.store import PREDICTIONS, Store
from platform.results.mirror import tracker
from platform.results.mirror.entries import PICTURE
from platform.results.mirror.messages import Owed
from tests.support.followed import HEADER, STUDY, Driver, all_delivered, wait_until
from tests.support.invented_study import EVALUATED_STEPS, begun, record, report
from tests.support.mlflow_contents import contents, runs
from tests.support.patience import PATIENCE
from tests.support.small_disk import mounted
from tests.support.synthetic_study import ask


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker, "LONGEST_PAUSE", 1.0)
    monkeypatch.setattr(tracking, "SILENT_SECONDS", 600.0)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")


CUT = End("stopped", "below the cut", "below the cut at 200 steps: 0.2000, cut 0.3000", 200)


def test_followed_or_copied_later_a_study_gives_the_same_runs(
    uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    confirmed = [ask(arm, "confirm", number) for arm in ("source only", "FDA") for number in range(3)]
    cut, failed = ask("FDA", "search", 1), ask("FDA", "search", 2)
    driver = Driver(tmp_path, uri, [*confirmed, cut, failed])
    labels = np.zeros((1, 32, 64), np.uint8)
    predictions = driver.store.trial_folder(confirmed[0].trial.id) / PREDICTIONS
    np.savez_compressed(predictions, images=np.stack([labels] * 3, axis=-1), truth=labels, prediction=labels)
    for each in confirmed:
        for step in EVALUATED_STEPS:
            driver.report(each, step)
        driver.end(each)
    for step in EVALUATED_STEPS[:2]:
        driver.report(cut, step)
    driver.end(cut, CUT)
    # Another study went on with the trial that this one stopped.
    for step in EVALUATED_STEPS[2:]:
        driver.store.report(cut.trial.id, report(cut, step))
    driver.end(failed, End("failed", "diverged", "the loss is nan at step 60", 0))
    table = driver.store.study_folder(STUDY) / "table.md"
    table.write_text("a table")
    assert not driver.tracker.close([table], patience=PATIENCE)
    assert (driver.tracker.owed(), str(driver.tracker.owed())) == (Owed(0, 0), "nothing")

    live = contents(uri, STUDY)
    assert {run.status for run in live.values()} == {"FINISHED", "FAILED"}
    assert live["source only seed 1"].files == (PICTURE,)
    assert [step for step, _ in live["FDA search 1"].metrics["source/miou"]] == [100, 200]

    copied = f"sqlite:///{tmp_path / 'copy.db'}"
    for results in (driver.store.folder, driver.store.study_folder(STUDY)):
        assert main([str(results), "--to", copied]) == 0
        assert contents(copied, STUDY) == live
    first, again = capsys.readouterr().out.splitlines()
    assert first == f"{STUDY}: 8 trials with 26 reports copied"
    assert again == f"{STUDY}: 8 trials with 26 reports were there already"
    ended = runs(copied, STUDY)["FDA search 1"].info.end_time
    assert abs(ended / 1000 - (driver.store.trial_folder(cut.trial.id) / "record.jsonl").stat().st_mtime) < 1


@pytest.mark.parametrize(
    ("results", "to", "says"),
    [
        ("nowhere", "sqlite:///{folder}/mlflow.db", "holds no journal.jsonl"),
        ("results", "http://127.0.0.1:1", "Connection refused"),
        ("results", "htp://127.0.0.1:1", "must be http://HOST:PORT"),
    ],
)
def test_mistakes_of_the_command_take_one_line(
    results: str, to: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Store(tmp_path / "results").announce(HEADER)
    assert main([str(tmp_path / results), "--to", to.format(folder=tmp_path)]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_study_that_has_not_ended_is_copied_as_interrupted(uri: str, tmp_path: Path) -> None:
    store, asked = Store(tmp_path / "results"), ask("FDA", "search", 0)
    store.announce(HEADER)
    store.ask(STUDY, asked)
    store.begin(begun(asked))
    store.report(asked.trial.id, report(asked, 100))
    store.ask(STUDY, ask("FDA", "search", 1))  # never begun
    command = [sys.executable, "-m", "platform.tracking", str(store.folder), "--to", uri]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{STUDY}: 1 trial with 1 report copied\n")
    # On a machine that is busy, it may say that it waits.
    assert [line for line in done.stderr.splitlines() if "waiting for" not in line] == []
    assert {name: run.status for name, run in contents(uri, STUDY).items()} == {
        STUDY: "KILLED",
        "FDA search 0": "KILLED",
    }


def test_an_interrupted_study_goes_on_in_the_same_runs(uri: str, tmp_path: Path) -> None:
    done, running = ask("FDA", "search", 0), ask("FDA", "search", 1)
    driver = Driver(tmp_path, uri, [done, running])
    for each in (done, running):
        driver.report(each, 100)
    driver.end(done, End("stopped", "below the cut", "at 100", 100))
    assert not driver.tracker.close(state="interrupted", patience=PATIENCE)
    before = runs(uri, STUDY)
    assert {name: run.info.status for name, run in before.items()} == {
        STUDY: "KILLED", "FDA search 0": "FINISHED", "FDA search 1": "KILLED"
    }  # fmt: skip

    # The report at 200 reached the records, but not MLflow.
    driver.store.report(running.trial.id, report(running, 200))
    driver = Driver(tmp_path, uri, [running])
    all_delivered(driver.tracker)
    assert runs(uri, STUDY)["FDA search 1"].info.status == "RUNNING"
    driver.records[running.trial.id] = replace(driver.records[running.trial.id], losses=1)
    driver.tracker.hear("lose", running, driver.records[running.trial.id])
    for step in (300, 400):
        driver.report(running, step)
    driver.end(running)
    assert not driver.tracker.close(patience=PATIENCE)
    after = contents(uri, STUDY)
    assert {name: run.status for name, run in after.items()} == dict.fromkeys(before, "FINISHED")
    assert [step for step, _ in after["FDA search 1"].metrics["source/miou"]] == list(EVALUATED_STEPS)
    assert after["FDA search 1"].tags["worker_losses"] == "1"
    assert {run.info.run_id for run in runs(uri, STUDY).values()} == {run.info.run_id for run in before.values()}


@pytest.mark.slow
def test_faults_of_a_sqlite_store(uri: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Locked, then its writer killed, then deleted: after each, all is there, once."""
    asked, file = ask("FDA", "search", 0), tmp_path / "mlflow.db"
    locking = sqlite3.connect(file, isolation_level=None)
    locking.execute("BEGIN EXCLUSIVE")
    driver = Driver(tmp_path, uri, [asked])
    driver.report(asked, 100)
    time.sleep(1)
    assert driver.tracker.owed() == Owed(1, 1)
    locking.execute("ROLLBACK")
    locking.close()
    all_delivered(driver.tracker)

    assert driver.tracker._process is not None
    driver.tracker._process._popen.kill()
    driver.report(asked, 200)
    all_delivered(driver.tracker)
    assert caplog.text.count("is away (the process that writes to it ended)") == 1

    file.unlink()
    driver.report(asked, 300)
    all_delivered(driver.tracker)
    driver.report(asked, 400)
    driver.end(asked)
    assert not driver.tracker.close(patience=PATIENCE)
    run = contents(uri, STUDY)["FDA search 0"]
    assert (run.status, [step for step, _ in run.metrics["source/miou"]]) == ("FINISHED", list(EVALUATED_STEPS))


def test_closing_waits_no_longer_than_it_may(uri: str, tmp_path: Path) -> None:
    asked = ask("FDA", "search", 0)
    locking = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)
    locking.execute("BEGIN EXCLUSIVE")
    driver = Driver(tmp_path, uri, [asked])
    driver.report(asked, 100)
    owed = driver.tracker.close(patience=0.2)
    assert owed == Owed(1, 1, study=True)
    assert str(owed) == "1 trial with 1 report"
    driver.tracker._thread.join(10)
    assert not driver.tracker._thread.is_alive()
    locking.close()


@pytest.mark.parametrize(
    ("ended", "out", "error"),
    [
        ("by an error", "", "note: MLflow lacks 1 trial with 1 report, which the next run gives it\n"),
        ("by a signal", "1 report (MLflow is away ([Errno 111] Connection refused)): run the same command again", ""),
    ],
)
def test_the_last_words_name_what_mlflow_lacks_and_never_hide_an_error(
    ended: Literal["by an error", "by a signal"],
    out: str,
    error: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = ask("FDA", "search", 0)
    driver = Driver(tmp_path, "http://127.0.0.1:1", [asked])
    driver.report(asked, 100)
    wait_until(lambda: bool(driver.tracker.trouble))
    _close(driver.tracker, Ledger(driver.store, STUDY, ["FDA"]), HEADER, ended)
    said = capsys.readouterr()
    assert (out in said.out, bool(said.out), said.err) == (True, bool(out), error)


def test_the_run_of_a_trial_of_two_rows_is_of_the_one_that_has_more_of_it_whoever_comes_first(
    uri: str, tmp_path: Path
) -> None:
    """With as much, of the first row; and its asks and ends come in any order, which hangs on machines."""
    shared: list[tuple[dict[str, int], str]] = [
        ({"source only": 100, "FDA": 200}, "FDA"),
        ({"FDA": 100, "source only": 200}, "source only"),
        ({"FDA": 200, "source only": 200}, "source only"),
    ]
    store = Store(tmp_path / "results")
    ledger = Ledger(store, STUDY, ["source only", "FDA"])
    ledger.announce(HEADER)
    ledger.listeners.append(followed := tracker.Tracker(uri, HEADER, store))
    trials = [ask("FDA", "search", number).trial for number in range(len(shared))]
    for number, (ends, _) in enumerate(shared):
        asks = [Ask(row, "search", number, trials[number]) for row in ends]
        for each in asks:
            ledger.ask(each)
            ledger.take_up(each, partial(begun, each))
            ledger.begin(each)
            all_delivered(followed)
        for step in (100, 200):
            ledger.report(asks[0], report(asks[0], step))
        for each in asks:
            ledger.end(each, replace(CUT, reason=f"cut for {each.arm}", step=ends[each.arm]))
            all_delivered(followed)
    assert not followed.close(state="interrupted")
    live = contents(uri, STUDY)
    assert live.keys() == {STUDY, *(f"{row} search {number}" for number, (_, row) in enumerate(shared))}
    for number, (_, row) in enumerate(shared):
        run = live[f"{row} search {number}"]
        assert (run.tags["arm"], run.params["arm"], run.tags["stop_reason"]) == (row, row, f"cut for {row}")
        assert [step for step, _ in run.metrics["source/miou"]] == [100, 200]
    copied = f"sqlite:///{tmp_path / 'copy.db'}"
    assert main([str(store.folder), "--to", copied]) == 0
    assert contents(copied, STUDY) == live


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "small disk", 4 * 2**20) as folder:
        yield folder


@pytest.mark.slow
def test_a_full_disk_is_owed_until_there_is_room(
    small_disk: Path, tmp_path: Path, empty_store: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    asks = [ask("FDA", "search", number) for number in range(20)]
    (small_disk / "mlflow.db").write_bytes(empty_store)
    uri = f"sqlite:///{small_disk / 'mlflow.db'}"
    first = Driver(tmp_path, uri, asks[:1])
    all_delivered(first.tracker)
    ballast = small_disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)
    for each in asks[1:]:
        first.tracker.hear("begin", each, record(each))
    wait_until(lambda: bool(first.tracker.trouble))
    assert "full" in first.tracker.trouble
    ballast.unlink()
    all_delivered(first.tracker)
    assert first.tracker.trouble == ""
    assert caplog.text.count("is away") == 1
    assert not first.tracker.close(patience=PATIENCE)
    assert len(runs(uri, STUDY)) == 21


def test_a_trial_that_another_study_trains_is_not_owed(tmp_path: Path) -> None:
    driver = Driver(tmp_path, "http://127.0.0.1:1", [])
    asked = ask("FDA", "search", 0)
    driver.tracker.hear("wait", asked, begun(asked))
    assert driver.tracker.owed() == Owed(0, 0)
    driver.tracker.close(patience=0.0)


def test_a_tracker_is_not_slowed_by_a_store_that_does_not_answer(tmp_path: Path) -> None:
    driver = Driver(tmp_path, "http://127.0.0.1:1", [])
    asked = ask("FDA", "search", 0)
    driver.tracker.hear("begin", asked, begun(asked))
    wait_until(lambda: "Connection refused" in driver.tracker.trouble)
    took: list[float] = []
    seen = begun(asked, [report(asked, step) for step in EVALUATED_STEPS])
    for _ in range(1000):
        start = time.perf_counter()
        driver.tracker.hear("report", asked, seen)
        took.append(time.perf_counter() - start)
    # Not a speed test: a call that waited for the store would take seconds.
    assert sorted(took)[990] < 0.005
    assert driver.tracker.owed() == Owed(1, 4)
    with pytest.raises(TypeError):
        copy.deepcopy(driver.tracker)
    driver.tracker.close(patience=0.0)


def test_the_driver_imports_no_mlflow() -> None:
    program = (
        "import platform.commands.tracking, sys; sys.exit(any(name.split('.')[0] == 'mlflow' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
