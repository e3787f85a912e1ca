"""A run, written to in one call: what MLflow refuses of it must not keep out the rest."""

from collections.abc import Mapping, Sequence

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from platform.results.mirror.reasons import reason


def log(
    client: MlflowClient,
    run_id: str,
    metrics: Sequence[Metric],
    params: Mapping[str, str],
    tags: Mapping[str, str],
) -> dict[str, str]:
    """One call, or, should MLflow refuse something in it, one for each param and tag: why it refuses those."""
    if not (metrics or params or tags):
        return {}
    pairs = [Param(name, value) for name, value in params.items()]
    marks = [RunTag(name, value) for name, value in tags.items()]
    try:
        # Whatever the environment asks for: a call that returns before it is made says nothing of its outcome.
        client.log_batch(run_id, metrics, pairs, marks, synchronous=True)
    except MlflowException as error:
        if not _is_refusal(error) or not (pairs or marks):
            raise
        if len(pairs) + len(marks) == 1 and not metrics:
            return dict.fromkeys([*params, *tags], reason(error))
    else:
        return {}
    refused = log(client, run_id, metrics, {}, {})
    for name, value in params.items():
        refused |= log(client, run_id, [], {name: value}, {})
    for name, value in tags.items():
        refused |= log(client, run_id, [], {}, {name: value})
    return refused


def _is_refusal(error: MlflowException) -> bool:
    """Whether it is what was sent that MLflow does not take."""
    return error.get_http_status_code() == 400  # type: ignore[no-untyped-call, no-any-return]
