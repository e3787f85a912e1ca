"""What an MLflow holds of a study, in a form that can be compared with that of another MLflow."""

from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Run


@dataclass(frozen=True)
class Contents:
    """A run, without its id and the times at which it was written."""

    status: str
    params: dict[str, str]
    tags: dict[str, str]
    """Without MLflow's own, of which one names the parent's id."""
    metrics: dict[str, list[tuple[int, float]]]
    """(step, value) by name, in order; a value that was written twice is there twice."""
    files: tuple[str, ...]


def runs(uri: str, study: str) -> dict[str, Run]:
    """Every run of a study's experiment by name; fails when a name comes twice, or not all have one parent."""
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(study)
    assert experiment is not None
    found = list(client.search_runs([experiment.experiment_id], max_results=1000))
    by_name = {run.info.run_name: run for run in found}
    assert len(by_name) == len(found), sorted(run.info.run_name for run in found)
    parents = {run.data.tags.get("mlflow.parentRunId") for name, run in by_name.items() if name != study}
    assert parents <= {by_name[study].info.run_id}
    return by_name


def contents(uri: str, study: str) -> dict[str, Contents]:
    """Every run of a study's experiment by name."""
    client = MlflowClient(tracking_uri=uri)
    held: dict[str, Contents] = {}
    for name, run in runs(uri, study).items():
        histories = {metric: client.get_metric_history(run.info.run_id, metric) for metric in run.data.metrics}
        held[name] = Contents(
            run.info.status,
            run.data.params,
            {tag: value for tag, value in run.data.tags.items() if not tag.startswith("mlflow.")},
            {metric: sorted((point.step, point.value) for point in points) for metric, points in histories.items()},
            tuple(sorted(entry.path for entry in client.list_artifacts(run.info.run_id))),
        )
    return held
