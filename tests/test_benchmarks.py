"""The benchmarks run, and count what they should; how long they take is no matter here."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from benchmarks import driver

ARMS, TRIALS = 2, 8


@pytest.mark.slow
def test_the_driver_benchmark_ends_every_trial_and_has_them_all_in_mlflow(tmp_path: Path) -> None:
    figures = driver.measure(driver.study(ARMS, TRIALS), tmp_path)
    assert figures.trials == ARMS * TRIALS
    assert len(figures.suggestions) > ARMS * TRIALS, "the last one says that there is no other trial"
    assert 2 * ARMS * TRIALS <= len(figures.reports) <= 4 * ARMS * TRIALS
    assert 0 < figures.ended <= figures.mirrored

    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name(driver.NAME)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 1 + ARMS * TRIALS
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_the_figures_say_per_report_and_per_second() -> None:
    figures = driver.Figures(100, [0.001] * 300, [0.002] * 110, ended=4.0, mirrored=5.0)
    assert str(figures).splitlines() == [
        "  report       median 1.00 ms, 95th percentile 1.00 ms (300 times)",
        "  suggestion   median 2.00 ms, 95th percentile 2.00 ms (110 times)",
        "    25.0 trials per second until the last trial ended",
        "    20.0 trials per second until MLflow held everything",
    ]
