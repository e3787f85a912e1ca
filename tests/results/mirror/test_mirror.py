"""The mirror: what MLflow holds is what the records say, whatever failed or was deleted before."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from platform.records.store import PREDICTIONS
from platform.results.mirror.entries import BATCH, settings
from platform.results.mirror.messages import Answer, Closing, Copy, Files
from platform.results.mirror.mirror import Mirror
from platform.scores.metrics import cityscapes
from platform.shifts.labels import CAMVID_11
from tests.support.invented_study import COST, EVALUATED_STEPS, begun, record, report, stopped
from tests.support.mirrored import AT, STUDY, Crash, CrashingClient, copy, deliver, mirror, running
from tests.support.mlflow_contents import contents, runs
from tests.support.synthetic_study import ask, study_header

DONE = Closing("FINISHED", 2_000_000_000_000)


def left(folder: Path) -> Path:
    """The test predictions that a confirm trial leaves."""
    labels = np.zeros((1, 32, 64), np.uint8)
    np.savez_compressed(folder / PREDICTIONS, images=np.stack([labels] * 3, axis=-1), truth=labels, prediction=labels)
    return folder / PREDICTIONS


def close(to: Mirror, closing: Closing, *files: Path) -> None:
    """End a study, with its files."""
    to.close(closing)
    header = study_header(STUDY)
    answer = to.store(Files(paths=files, texts={f"{header.name}.py": header.source}))
    assert answer == Answer(lost=tuple(file.name for file in files if not file.exists()))


def test_a_run_says_what_its_row_begins_from_and_how_many_target_labels_it_knows() -> None:
    asked = ask("FDA", "confirm", 1)
    late = replace(asked, trial=replace(asked.trial, after=("0123456789ab",)))
    arms = [replace(each, few=4, after=("source only",)) for each in study_header().arms if each.name == "FDA"]
    held = settings(copy(late, record(late)), arms)
    assert {name: held[name] for name in ("few", "after", "after_trials")} == {
        "few": "4",
        "after": "source only",
        "after_trials": "0123456789ab",
    }
    assert not {"few", "after", "after_trials"} & settings(copy(asked, record(asked)), study_header().arms).keys()


def test_a_study_arrives_whole(uri: str, tmp_path: Path) -> None:
    predictions, table = left(tmp_path), tmp_path / "table.md"
    table.write_text("| arm | mIoU |\n")
    confirmed, cut, failed = ask("FDA", "confirm", 1), ask("FDA", "search", 3), ask("adversarial", "search", 0)
    halved = record(failed, state="failed", cause="out of memory", reason="needs 3 GiB", reports=2, parts=2)

    to = mirror(uri)
    deliver(
        to,
        copy(confirmed, record(confirmed), predictions),
        copy(cut, stopped(cut)),
        copy(failed, replace(halved, losses=2)),
    )
    close(to, DONE, table, tmp_path / "missing.csv")

    held = contents(uri, STUDY)
    found = runs(uri, STUDY)
    assert set(held) == {STUDY, "FDA seed 2", "FDA search 3", "adversarial search 0"}
    assert (held[STUDY].status, held[STUDY].files) == ("FINISHED", ("quickstart.py", "table.md"))
    parent = found[STUDY]
    assert parent.data.tags["mlflow.note.content"] == "Does adapting help on a small shift?"
    assert parent.data.tags["mlflow.source.git.commit"] == "0123abc"
    assert parent.info.start_time == 1_767_225_600_000  # study_header().began
    assert parent.info.artifact_uri.startswith((tmp_path / "mlruns" / STUDY).as_uri())
    text = MlflowClient(tracking_uri=uri).download_artifacts(parent.info.run_id, "quickstart.py", str(tmp_path))
    assert Path(text).read_text() == study_header().source

    run = held["FDA seed 2"]
    assert (run.status, run.files) == ("FINISHED", ("prediction.png",))
    assert run.params == {
        "arm": "FDA", "method": "FDA", "beta": "0.0117", "band": "6", "entropy_weight": "0.005",
        "learning_rate": "0.02", "momentum": "0.9", "batch": "4", "seed": "2", "steps": "400", "evaluations": "4",
        **{f"cost/{name}": f"{value:.10g}" for name, value in COST.items()},
    }  # fmt: skip
    assert run.tags == {
        "study": STUDY, "arm": "FDA", "method": "FDA", "phase": "confirm", "seed": "2", "trial_id": confirmed.trial.id,
        "state": "complete", "provenance/host": "node", "provenance/device": "cpu", "provenance/git_commit": "0123abc",
    }  # fmt: skip
    assert found["FDA seed 2"].data.tags["mlflow.source.git.commit"] == "0123abc"
    last = report(confirmed, 400)
    for metric in last.metrics:
        assert run.metrics[metric] == [(step, report(confirmed, step).metrics[metric]) for step in EVALUATED_STEPS]
    score = cityscapes(last.confusions["target/test"], CAMVID_11)
    assert run.metrics["test/miou"] == [(400, score.miou)]
    assert run.metrics["test/accuracy"] == [(400, score.accuracy)]
    assert {name: points for name, points in run.metrics.items() if name.startswith("final/")} == {
        f"final/{name}": [(400, last.metrics[name])]
        for name in ("source/miou", "source/accuracy", "oracle/miou", "oracle/accuracy")
    }

    run = held["FDA search 3"]
    assert (run.status, run.tags["state"], run.tags["cause"]) == ("FINISHED", "stopped", "below the cut")
    assert run.tags["stop_reason"] == "below the cut at 200 steps: 0.2000, cut 0.3000"
    assert not [name for name in run.metrics if name.startswith(("final/", "test/"))]
    run = held["adversarial search 0"]
    assert (run.status, run.tags["state"], run.tags["cause"]) == ("FAILED", "failed", "out of memory")
    assert (run.tags["worker_losses"], run.tags["parts"]) == ("2", "2")


@pytest.mark.slow
def test_any_part_of_the_calls_and_then_all_of_them_give_the_same_runs(uri: str, tmp_path: Path) -> None:
    """The life of a study, cut off before every call, as after the one before it, and told again from its records."""
    predictions, table = left(tmp_path), tmp_path / "table.md"
    table.write_text("a table")
    one, two = ask("FDA", "confirm", 0), ask("adversarial", "search", 1)
    last = [copy(one, record(one), predictions), copy(two, stopped(two))]
    first = [replace(each, record=replace(each.record, reports=each.record.reports[:1], end=None)) for each in last]
    told = [first, last]

    def tell(name: str, part: Sequence[Sequence[Copy]], calls: int = 0) -> int:
        """Tell a study of this name; the calls that were left."""
        to = Mirror(uri, study_header(name))
        client = CrashingClient(to._client, calls)
        if calls:
            to._client = client  # type: ignore[assignment]
        to.connect()
        for copies in part:
            deliver(to, *copies)
        close(to, DONE, table)
        return client.calls

    def held(name: str) -> str:
        found = {run: asdict(content) for run, content in contents(uri, name).items()}
        return json.dumps(found, sort_keys=True).replace(name, STUDY)

    tell(STUDY, told)
    expected = held(STUDY)
    assert "prediction.png" in expected

    for calls in range(1, 100):
        name = f"cut before call {calls}"
        try:
            if tell(name, told, calls) > 0:
                break
        except Crash:
            pass
        tell(name, [last])
        assert held(name) == expected
    assert 20 < calls < 99


def test_a_run_that_was_closed_goes_on_when_its_trial_does(uri: str) -> None:
    asked = ask("FDA", "search", 1)
    lost = record(asked, state="failed", cause="worker lost", reason="3 times", reports=2, retry=True)
    to = mirror(uri)
    deliver(to, copy(asked, lost))
    to.close(replace(DONE, status="KILLED"))
    before = runs(uri, STUDY)
    assert (before["FDA search 1"].info.status, before[STUDY].info.status) == ("FAILED", "KILLED")

    to = mirror(uri)
    deliver(to, copy(asked, running(asked, 3)))
    held = contents(uri, STUDY)["FDA search 1"]
    assert (held.status, held.tags.keys() & {"state", "cause", "stop_reason"}) == ("RUNNING", set())
    assert runs(uri, STUDY)[STUDY].info.status == "RUNNING"
    to.close(replace(DONE, status="KILLED"))
    assert contents(uri, STUDY)["FDA search 1"].status == "KILLED"

    to = mirror(uri)
    deliver(to, copy(asked, record(asked)))
    to.close(DONE)
    held = contents(uri, STUDY)["FDA search 1"]
    assert (held.status, held.tags["state"], "cause" in held.tags) == ("FINISHED", "complete", False)
    assert [step for step, _ in held.metrics["source/miou"]] == list(EVALUATED_STEPS)
    assert {name: run.info.run_id for name, run in runs(uri, STUDY).items()} == {
        name: run.info.run_id for name, run in before.items()
    }


def test_what_is_there_costs_no_call(uri: str) -> None:
    asked, going = ask("FDA", "search", 0), ask("FDA", "search", 1)
    deliver(mirror(uri), copy(asked, record(asked)), copy(going, running(going, 2)))
    to = mirror(uri)
    to._probe = lambda: None  # type: ignore[method-assign]
    to._client = CrashingClient(to._client, 1)  # type: ignore[assignment]
    deliver(to, copy(asked, record(asked)), copy(going, running(going, 2)))


def test_times_are_those_at_which_it_happened(uri: str) -> None:
    asked = ask("FDA", "search", 0)
    # Two reports of an earlier process, known to have ended at 100,000 s; then two of this one.
    ran = replace(record(asked), reports=tuple(report(asked, step) for step in EVALUATED_STEPS))
    times = {200: AT, 300: AT + 10_000, 400: AT + 20_000}
    deliver(mirror(uri), replace(copy(asked, ran), times=times, at=AT + 21_000))
    run = runs(uri, STUDY)["FDA search 0"]
    history = MlflowClient(tracking_uri=uri).get_metric_history(run.info.run_id, "source/miou")
    assert {point.step: point.timestamp - AT for point in history} == {100: -1500, 200: 0, 300: 10_000, 400: 20_000}
    assert (run.info.start_time - AT, run.info.end_time - AT) == (-3000, 21_000)


def test_a_record_longer_than_a_batch_arrives_whole(uri: str) -> None:
    asked = ask("adversarial", "search", 0)
    asked = replace(asked, trial=replace(asked.trial, steps=100, evaluations=100))
    many = [report(asked, step) for step in range(1, 101)]
    assert sum(len(one.metrics) for one in many) > 2 * BATCH
    deliver(mirror(uri), copy(asked, begun(asked, many)))
    held = contents(uri, STUDY)["adversarial search 0"]
    assert held.metrics["loss/adversarial"] == [(step, 0.7) for step in range(1, 101)]


def test_a_study_that_was_started_over_gets_new_runs(uri: str) -> None:
    asked = ask("FDA", "search", 0)
    for began in ("2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00"):
        to = mirror(uri, began=began)
        deliver(to, copy(asked, record(asked)))
        to.close(DONE)
    client = MlflowClient(tracking_uri=uri)
    found = client.search_runs(["1"])
    parents = {run.info.run_id: run.data.tags["began"] for run in found if run.data.tags["phase"] == "study"}
    assert sorted(parents.values()) == ["2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00"]
    children = [run.data.tags["mlflow.parentRunId"] for run in found if "trial_id" in run.data.tags]
    assert sorted(children) == sorted(parents)


def test_a_trial_of_two_studies_has_a_run_in_each(uri: str) -> None:
    asked = ask("FDA", "search", 0)
    for name in ("one", "two"):
        to = mirror(uri, name=name)
        deliver(to, copy(asked, record(asked)))
        assert set(runs(uri, name)) == {name, "FDA search 0"}


def test_a_run_that_goes_further_than_the_study_wants_is_made_again(uri: str) -> None:
    asked = ask("FDA", "search", 0)
    to = mirror(uri)
    deliver(to, copy(asked, running(asked, 4)))
    deliver(to, copy(asked, stopped(asked)))
    assert [step for step, _ in contents(uri, STUDY)["FDA search 0"].metrics["source/miou"]] == [100, 200]


def test_surplus_runs_of_calls_that_were_carried_out_late_are_deleted(uri: str) -> None:
    asked = ask("FDA", "search", 0)
    to = mirror(uri)
    deliver(to, copy(asked, running(asked, 2)))
    expected = contents(uri, STUDY)
    late = Mirror(uri, study_header(STUDY))
    late._experiment, late._parent, late._runs = to._experiment, to._parent, {}
    late._create_run(copy(asked, running(asked, 0)), [])
    late._create_parent()
    with pytest.raises(AssertionError):
        runs(uri, STUDY)
    deliver(mirror(uri), copy(asked, running(asked, 2)))
    assert contents(uri, STUDY) == expected


def test_a_deleted_run_is_missed_and_made_again(uri: str) -> None:
    deleted, other = ask("FDA", "search", 0), ask("FDA", "search", 1)
    to = mirror(uri)
    deliver(to, copy(deleted, running(deleted, 1)), copy(other, running(other, 1)))
    MlflowClient(tracking_uri=uri).delete_run(runs(uri, STUDY)["FDA search 0"].info.run_id)
    with pytest.raises(LookupError):
        to.deliver([copy(deleted, running(deleted, 2))])
    to.connect()
    deliver(to, copy(deleted, running(deleted, 2)))
    assert len(contents(uri, STUDY)["FDA search 0"].metrics["source/miou"]) == 2


def test_a_deleted_experiment_comes_back(uri: str) -> None:
    asked = ask("FDA", "search", 0)
    to = mirror(uri)
    deliver(to, copy(asked, running(asked, 1)))
    before = runs(uri, STUDY)
    MlflowClient(tracking_uri=uri).delete_experiment(before[STUDY].info.experiment_id)
    with pytest.raises(Exception, match="active"):
        to.deliver([copy(asked, running(asked, 2))])
    to.connect()
    deliver(to, copy(asked, record(asked)))
    assert {run.info.run_id for run in runs(uri, STUDY).values()} == {run.info.run_id for run in before.values()}
