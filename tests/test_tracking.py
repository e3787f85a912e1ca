import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow_server import Server
from synthetic_study import ARMS, COMPLETE, ask, record, report, steps, study_header

from platform.labels import CAMVID_11
from platform.metrics import cityscapes
from platform.records import End
from platform.tracking import Tracker, default_uri

STUDY_FILE = Path("studies/quickstart.py")


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A SQLite store with MLflow's schema, which takes a second to make."""
    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{file}").search_experiments()
    return file.read_bytes()


@pytest.fixture
def uri(tmp_path: Path, empty_store: bytes) -> str:
    (tmp_path / "mlflow.db").write_bytes(empty_store)
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as running:
        yield running


def track(uri: str, study: str = "quickstart") -> Tracker:
    return Tracker(uri, study_header(study), STUDY_FILE)


def runs(uri: str, study: str = "quickstart") -> dict[str, Run]:
    """Every run of a study by name; a name that comes twice fails."""
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(study)
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], max_results=1000)
    by_name = {run.info.run_name: run for run in found}
    assert len(by_name) == len(found)
    return by_name


def curve(uri: str, run: Run, metric: str) -> list[tuple[int, float]]:
    history = MlflowClient(tracking_uri=uri).get_metric_history(run.info.run_id, metric)
    return sorted((point.step, point.value) for point in history)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for the tracker's thread; a minute means never."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("store", ["sqlite", pytest.param("http", marks=pytest.mark.slow)])
def test_a_study_arrives_whole(
    store: str, uri: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if store == "http":
        uri = request.getfixturevalue("server").uri
    monkeypatch.chdir(tmp_path)
    picture, table = tmp_path / "prediction.png", tmp_path / "table.md"
    picture.write_bytes(b"a picture")
    table.write_text("| arm | mIoU |\n")
    confirmed, stopped, failed = ask("FDA", "confirm", 1), ask("FDA", "search", 3), ask("adversarial", "search", 0)

    tracker = track(uri)
    for asked in (confirmed, stopped, failed):
        tracker.begin(asked, record(asked))
    for step in steps():
        tracker.report(confirmed, report(confirmed, step))
    tracker.report(stopped, report(stopped, 100))
    tracker.end(confirmed, COMPLETE, [picture, tmp_path / "missing.png"])
    tracker.end(stopped, End("stopped", "rung 100: 0.2 below 0.3", 100))
    tracker.end(failed, End("failed", "diverged: loss is nan", 0))
    assert tracker.close([table]) == 0

    found = runs(uri)
    parent = found.pop("quickstart")
    assert set(found) == {"FDA seed 2", "FDA search 3", "adversarial search 0"}
    assert {run.data.tags["mlflow.parentRunId"] for run in found.values()} == {parent.info.run_id}
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["mlflow.note.content"] == "Does adapting help on a small shift?"

    run = found["FDA seed 2"]
    assert run.info.status == "FINISHED"
    assert run.data.params == {
        "arm": "FDA", "method": "FDA", "beta": "0.01", "band": "3", "entropy_weight": "0.005", "learning_rate": "0.02",
        "momentum": "0.9", "batch": "4", "seed": "2", "steps": "400", "evaluations": "4",
        "cost/parameters": "12581672", "cost/gflops": "51.26", "cost/discriminator_parameters": "0",
    }  # fmt: skip
    tags = {name: value for name, value in run.data.tags.items() if not name.startswith("mlflow.")}
    assert tags == {
        "study": "quickstart", "arm": "FDA", "method": "FDA", "phase": "confirm", "seed": "2",
        "trial_id": confirmed.trial.id, "state": "complete", "stop_reason": "all steps done",
        "provenance/host": "node", "provenance/device": "cpu", "provenance/git_commit": "0123abc",
    }  # fmt: skip
    assert run.data.tags["mlflow.source.git.commit"] == "0123abc"
    assert run.data.tags["mlflow.source.name"] == str(STUDY_FILE)
    for metric in report(confirmed, 100).metrics:
        assert curve(uri, run, metric) == [(step, report(confirmed, step).metrics[metric]) for step in steps()]
    last = report(confirmed, 400)
    score = cityscapes(last.confusions["target/test"], CAMVID_11)
    assert curve(uri, run, "test/miou") == [(400, score.miou)]
    assert curve(uri, run, "test/accuracy") == [(400, score.accuracy)]
    final = {name: value for name, value in run.data.metrics.items() if name.startswith("final/")}
    assert final == {
        f"final/{name}": last.metrics[name]
        for name in ("source/miou", "source/accuracy", "oracle/miou", "oracle/accuracy")
    }

    run = found["FDA search 3"]
    assert (run.info.status, run.data.tags["state"]) == ("FINISHED", "stopped")
    assert run.data.tags["stop_reason"] == "rung 100: 0.2 below 0.3"
    assert not [name for name in run.data.metrics if name.startswith(("final/", "test/"))]
    run = found["adversarial search 0"]
    assert (run.info.status, run.data.tags["stop_reason"]) == ("FAILED", "diverged: loss is nan")

    client = MlflowClient(tracking_uri=uri)
    files = {run_id: [entry.path for entry in client.list_artifacts(run_id)]
             for run_id in (parent.info.run_id, found["FDA seed 2"].info.run_id)}  # fmt: skip
    assert list(files.values()) == [["quickstart.py", "table.md"], ["prediction.png"]]
    text = client.download_artifacts(parent.info.run_id, "quickstart.py", str(tmp_path))
    assert Path(text).read_text() == study_header().source
    if store == "sqlite":
        assert parent.info.artifact_uri.startswith((tmp_path / "mlruns" / "quickstart").as_uri())
    assert not (tmp_path / "mlartifacts").exists()


def test_an_interrupted_study_goes_on_in_the_same_runs(uri: str) -> None:
    done, running = ask("FDA", "search", 0), ask("FDA", "search", 1)
    tracker = track(uri)
    for asked in (done, running):
        tracker.begin(asked, record(asked))
        for step in (100, 200):
            tracker.report(asked, report(asked, step))
    tracker.end(done, COMPLETE)
    assert tracker.close(state="interrupted") == 0
    before = runs(uri)
    assert {name: run.info.status for name, run in before.items()} == {
        "quickstart": "KILLED",
        "FDA search 0": "FINISHED",
        "FDA search 1": "KILLED",
    }

    # The step at 300 reached the records but not MLflow, the one at 200 is reported again, `done` is replayed whole.
    tracker = track(uri)
    assert runs(uri)["quickstart"].info.status == "RUNNING"
    tracker.begin(done, record(done, (report(done, 100), report(done, 200))))
    tracker.end(done, COMPLETE)
    tracker.begin(running, record(running, tuple(report(running, step) for step in (100, 200, 300))))
    wait_until(lambda: tracker.owed() == 0)
    assert runs(uri)["FDA search 1"].info.status == "RUNNING"
    tracker.report(running, report(running, 200))
    tracker.report(running, report(running, 400))
    tracker.report(running, report(running, 400))
    tracker.end(running, COMPLETE)
    assert tracker.close() == 0

    after = runs(uri)
    assert {name: run.info.run_id for name, run in after.items()} == {
        name: run.info.run_id for name, run in before.items()
    }
    assert {run.info.status for run in after.values()} == {"FINISHED"}
    assert [step for step, _ in curve(uri, after["FDA search 0"], "source/miou")] == [100, 200]
    for metric in report(running, 100).metrics:
        assert [step for step, _ in curve(uri, after["FDA search 1"], metric)] == [100, 200, 300, 400]
    assert after["FDA search 1"].data.metrics["final/source/miou"] == report(running, 400).metrics["source/miou"]


def test_final_values_come_from_the_record_when_only_the_end_is_new(uri: str) -> None:
    asked = ask("FDA", "search", 0)
    tracker = track(uri)
    tracker.begin(asked, record(asked))
    for step in steps():
        tracker.report(asked, report(asked, step))
    tracker.close(state="interrupted")

    tracker = track(uri)
    tracker.begin(asked, record(asked, tuple(report(asked, step) for step in steps())))
    tracker.end(asked, COMPLETE)
    assert tracker.close() == 0
    run = runs(uri)["FDA search 0"]
    assert run.data.metrics["final/source/miou"] == report(asked, 400).metrics["source/miou"]
    assert [step for step, _ in curve(uri, run, "source/miou")] == list(steps())


def test_a_run_that_was_all_but_closed_is_closed(uri: str) -> None:
    asked = ask("FDA", "confirm", 0)
    whole = record(asked, tuple(report(asked, step) for step in steps()))
    for _ in range(2):
        tracker = track(uri)
        tracker.begin(asked, whole)
        tracker.end(asked, COMPLETE)
        assert tracker.close() == 0
        run = runs(uri)["FDA seed 1"]
        assert run.info.status == "FINISHED"
        for metric in run.data.metrics:
            assert [step for step, _ in curve(uri, run, metric)] in ([400], list(steps()))
        # As a process leaves it that dies between its last batch and the new status.
        MlflowClient(tracking_uri=uri).update_run(run.info.run_id, status="RUNNING")


def test_a_trial_of_two_studies_has_a_run_in_each(uri: str) -> None:
    asked = ask("FDA", "search", 0)
    for study in ("one", "two"):
        tracker = track(uri, study)
        tracker.begin(asked, record(asked))
        tracker.end(asked, COMPLETE)
        assert tracker.close() == 0
    assert set(runs(uri, "one")) == {"one", "FDA search 0"}
    assert set(runs(uri, "two")) == {"two", "FDA search 0"}


def test_a_record_longer_than_a_batch_arrives_whole(uri: str) -> None:
    asked = ask("adversarial", "search", 0)
    many = tuple(report(asked, step) for step in range(1, 301))
    assert sum(len(one.metrics) for one in many) > 1000
    tracker = track(uri)
    tracker.begin(asked, record(asked, many))
    assert tracker.close() == 0
    run = runs(uri)["adversarial search 0"]
    for metric in many[0].metrics:
        assert curve(uri, run, metric) == [(one.step, one.metrics[metric]) for one in many]
    times = MlflowClient(tracking_uri=uri).get_metric_history(run.info.run_id, "source/miou")
    by_step = [point.timestamp for point in sorted(times, key=lambda point: point.step)]
    assert {after - before for before, after in itertools.pairwise(by_step)} == {2000}


def test_a_deleted_experiment_comes_back(uri: str) -> None:
    track(uri).close()
    client = MlflowClient(tracking_uri=uri)
    before = runs(uri)["quickstart"].info
    client.delete_experiment(before.experiment_id)
    track(uri).close()
    assert runs(uri)["quickstart"].info.run_id == before.run_id


def test_a_run_that_mlflow_refuses_is_owed_and_holds_up_no_other(uri: str, caplog: pytest.LogCaptureFixture) -> None:
    deleted, other = ask("FDA", "search", 0), ask("FDA", "search", 1)
    tracker = track(uri)
    tracker.begin(deleted, record(deleted))
    wait_until(lambda: tracker.owed() == 0)
    MlflowClient(tracking_uri=uri).delete_run(runs(uri)["FDA search 0"].info.run_id)
    tracker.report(deleted, report(deleted, 100))
    tracker.begin(other, record(other))
    tracker.report(other, report(other, 100))
    wait_until(lambda: tracker.owed() == 1)
    assert tracker.close(patience=0.1) == 1
    assert "refuses records of" in caplog.text
    found = runs(uri)
    assert curve(uri, found["FDA search 1"], "source/miou") == [(100, report(other, 100).metrics["source/miou"])]
    assert found["quickstart"].info.status == "FINISHED"


def test_terminal_stays_quiet(tmp_path: Path) -> None:
    program = (
        "import sys; sys.path.insert(0, 'tests'); import logging; logging.basicConfig(level=logging.WARNING)\n"
        "from test_tracking import *\n"
        "tracker = track(sys.argv[1]); asked = ask('FDA', 'search', 0)\n"
        "tracker.begin(asked, record(asked)); tracker.end(asked, COMPLETE); tracker.close()"
    )
    # The first command of a fresh checkout: no store, no folder.
    arguments = [sys.executable, "-c", program, f"sqlite:///{tmp_path / 'new folder' / 'mlflow.db'}"]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        arguments, cwd=root, env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("http://127.0.0.1:1", "Connection refused"),
        ("http://user:secret@127.0.0.1:1/path", "Connection refused"),
        ("postgresql+psycopg2://user:secret@127.0.0.1:1/runs", "Connection refused"),
        ("http://", "'http://'"),
        ("htp://127.0.0.1:1", "htp"),
        ("nonsense", "neither a server nor a database"),
        ("./mlruns", "neither a server nor a database"),
        ("file:///tmp/mlruns", "neither a server nor a database"),
        ("sqlite:mlflow.db", "Could not parse"),
        ("sqlite://", "needs a file"),
        ("sqlite:///{folder}/a_file/mlflow.db", "a_file"),
        ("sqlite:///{folder}/a_file", "not a database"),
        ("sqlite:///{folder}", "unable to open"),
    ],
)
def test_a_store_that_cannot_be_used_is_refused_in_one_line_within_seconds(uri: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "a_file").write_text("no database, but long enough to look at\n" * 20)
    start = time.monotonic()
    with pytest.raises(ValueError, match="MLFLOW_TRACKING_URI") as refusal:
        track(uri.format(folder=tmp_path))
    assert time.monotonic() - start < 10
    message = str(refusal.value)
    assert says in message
    assert "\n" not in message
    assert "secret" not in message


def test_default_uri(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert default_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://example.org:5000")
    assert default_uri(tmp_path) == "http://example.org:5000"


@pytest.mark.slow
def test_an_outage_delays_nothing_and_loses_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    asks = [ask(arm, "search", number) for arm in ARMS for number in range(2)]
    durations: list[float] = []

    def timed(call: Callable[..., None], *arguments: object) -> None:
        start = time.perf_counter()
        call(*arguments)
        durations.append(time.perf_counter() - start)

    server = Server(tmp_path).start()
    try:
        tracker = track(server.uri)
        for asked in asks[:5]:
            timed(tracker.begin, asked, record(asked))
            timed(tracker.report, asked, report(asked, 100))
        wait_until(lambda: tracker.owed() == 0)

        server.kill()
        for asked in asks[5:]:
            timed(tracker.begin, asked, record(asked))
            timed(tracker.report, asked, report(asked, 100))
        for step in (200, 300, 400):
            for asked in asks:
                timed(tracker.report, asked, report(asked, step))
        for asked in asks:
            timed(tracker.end, asked, COMPLETE)
        owed = tracker.owed()
        assert owed == 2 * 5 + 3 * 10 + 10
        wait_until(lambda: "is away" in caplog.text)
        assert tracker.owed() == owed

        server.start()
        assert tracker.close(patience=60) == 0
        found = runs(server.uri)
        assert len(found) == 1 + len(asks)
        assert {run.info.status for run in found.values()} == {"FINISHED"}
        for asked in asks:
            run = found[f"{asked.arm} search {asked.number}"]
            for metric in report(asked, 100).metrics:
                assert curve(server.uri, run, metric) == [
                    (step, report(asked, step).metrics[metric]) for step in steps()
                ]
    finally:
        server.kill()
    # Not a speed test: a call that waited for the server would take seconds.
    assert statistics.median(durations) < 0.005
    assert caplog.text.count("is away") == 1


@pytest.mark.slow
def test_closing_without_a_server_gives_up_and_the_next_tracker_makes_it_good(tmp_path: Path) -> None:
    asked = ask("FDA", "confirm", 0)
    server = Server(tmp_path).start()
    try:
        tracker = track(server.uri)
        tracker.begin(asked, record(asked))
        tracker.report(asked, report(asked, 100))
        wait_until(lambda: tracker.owed() == 0)
        server.kill()
        tracker.report(asked, report(asked, 200))
        start = time.monotonic()
        assert tracker.close(patience=1.0) == 2
        assert time.monotonic() - start < 10

        server.start()
        assert runs(server.uri)["FDA seed 1"].info.status == "RUNNING"
        tracker = track(server.uri)
        tracker.begin(asked, record(asked, tuple(report(asked, step) for step in steps())))
        tracker.end(asked, COMPLETE)
        assert tracker.close() == 0
        found = runs(server.uri)
        assert {name: run.info.status for name, run in found.items()} == {
            "quickstart": "FINISHED",
            "FDA seed 1": "FINISHED",
        }
        assert [step for step, _ in curve(server.uri, found["FDA seed 1"], "source/miou")] == list(steps())
        assert "test/miou" in found["FDA seed 1"].data.metrics
    finally:
        server.kill()
