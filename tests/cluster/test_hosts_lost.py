"""A study on a cluster of several hosts ends as on one machine, whatever it loses on the way."""

import pytest

from platform.records.store import Store
from platform.running.interruption import MACHINE_FAILED
from tests.support.cluster import postgresql
from tests.support.cluster import ray_cluster as clusters
from tests.support.cluster.hosts import Network
from tests.support.cluster.outcome import finish, inspect, inspect_mlflow
from tests.support.cluster.ray_cluster import Cluster, wait_until
from tests.support.faults import inspection
from tests.support.faults.small_study import NAME, Undisturbed
from tests.support.patience import PATIENCE

pytestmark = [pytest.mark.slow, pytest.mark.thorough]


def ended(cluster: Cluster) -> int:
    """How many trials have ended."""
    return len(inspection.ends(cluster.results)) if (cluster.results / NAME / "journal.jsonl").exists() else 0


def test_worker_cut_off(network: Network, undisturbed: Undisturbed) -> None:
    cluster = clusters.make(network, workers=1)
    (worker,) = cluster.workers
    cluster.up()
    study = cluster.study()
    wait_until(lambda: worker.address in cluster.nodes(), "the worker trains nothing")
    worker.cut()
    finish(study)
    assert Store(cluster.results).journal(NAME).losses.total() > 0
    inspect(cluster, undisturbed)
    inspect_mlflow(cluster, undisturbed)


def test_head_lost(network: Network, undisturbed: Undisturbed) -> None:
    """The head goes off in the middle; MLflow keeps its runs in PostgreSQL, on a machine that stays."""
    if reason := postgresql.obstacle():
        pytest.skip(reason)
    store = postgresql.serve(network.add("database"))
    cluster = clusters.make(network, workers=1, MLFLOW_STORE=store)
    cluster.up()
    study = cluster.study()
    wait_until(lambda: ended(cluster) > 0, "no trial ends")
    cluster.head.lose_power()
    cluster.head.boot()
    cluster.up()
    output, _ = study.communicate(timeout=PATIENCE)
    assert study.returncode == MACHINE_FAILED, output
    assert "the same command goes on" in output
    finish(cluster.study())
    inspect(cluster, undisturbed)
    inspect_mlflow(cluster, undisturbed)
