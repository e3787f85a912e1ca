"""A server of MLflow's that is away, frozen, emptied and robbed of a run while a study is followed into it."""

import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from platform.results.mirror import tracker
from platform.results.mirror.messages import Owed
from tests.support.followed import STUDY, Driver, all_delivered, wait_until
from tests.support.invented_study import EVALUATED_STEPS, report
from tests.support.mlflow_contents import contents, runs
from tests.support.mlflow_server import Server
from tests.support.synthetic_study import ask


@pytest.mark.slow
def test_nothing_that_happens_to_a_server_loses_or_doubles_anything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Down at the start, emptied while away, frozen, a run deleted, down at the end, back for the next command."""
    monkeypatch.setattr(tracker, "LONGEST_PAUSE", 1.0)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    asks = [ask("source only", "confirm", 0), ask("FDA", "confirm", 0), ask("FDA", "confirm", 1)]
    server = Server(tmp_path)
    driver = Driver(tmp_path, server.uri, asks)

    def everyone(step: int) -> None:
        for each in asks:
            driver.report(each, step)

    def arrived(steps: int) -> None:
        all_delivered(driver.tracker)
        found = runs(server.uri, STUDY)
        assert set(found) == {STUDY, *(f"{each.arm} seed {each.trial.seed}" for each in asks)}
        client = MlflowClient(tracking_uri=server.uri)
        for name, run in found.items():
            curve = [point.step for point in client.get_metric_history(run.info.run_id, "source/miou")]
            assert (run.info.status, curve) == ("RUNNING", [] if name == STUDY else list(EVALUATED_STEPS[:steps]))

    try:
        everyone(100)
        wait_until(lambda: bool(driver.tracker.trouble))
        assert driver.tracker.owed() == Owed(3, 3)
        server.start()
        arrived(1)

        server.kill()
        everyone(200)
        wait_until(lambda: bool(driver.tracker.trouble))
        server.empty()
        server.start()
        arrived(2)

        server.freeze()
        everyone(300)
        wait_until(lambda: bool(driver.tracker.trouble))
        server.thaw()
        arrived(3)

        MlflowClient(tracking_uri=server.uri).delete_run(runs(server.uri, STUDY)["FDA seed 1"].info.run_id)
        everyone(400)
        arrived(4)

        server.kill()
        for each in asks:
            driver.end(each)
        wait_until(lambda: bool(driver.tracker.trouble))
        began = time.monotonic()
        assert driver.tracker.close(patience=1.0) == Owed(3, 0, study=True)
        assert time.monotonic() - began < 10
        assert caplog.text.count("is away") == 5  # the deleted run counts: what is there is then looked up again

        server.start()
        driver = Driver(tmp_path, server.uri, asks)
        assert not driver.tracker.close(patience=60)
        held = contents(server.uri, STUDY)
        assert {run.status for run in held.values()} == {"FINISHED"}
        for each in asks:
            run = held[f"{each.arm} seed {each.trial.seed}"]
            for metric, value in report(each, 400).metrics.items():
                curve = [(step, report(each, step).metrics[metric]) for step in EVALUATED_STEPS]
                assert run.metrics[metric] == curve
                assert run.metrics.get(f"final/{metric}", [(400, value)]) == [(400, value)]
            assert "test/miou" in run.metrics
    finally:
        server.kill()
