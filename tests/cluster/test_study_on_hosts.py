"""A study on a cluster of several hosts ends as on one machine, whatever it loses on the way."""

import subprocess
from functools import partial

import pytest

from platform.records.store import Store
from platform.running.interruption import MACHINE_FAILED
from tests.support.cluster import postgresql
from tests.support.cluster import ray_cluster as clusters
from tests.support.cluster.hosts import Host, Network
from tests.support.cluster.ray_cluster import Cluster, wait_until
from tests.support.faults import inspection
from tests.support.faults.small_study import NAME, Undisturbed
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.slow
MLFLOW = "http://127.0.0.1:5000"
STUDY = "python -m platform.study studies/quickstart.py --address auto"


def inspect(cluster: Cluster, undisturbed: Undisturbed) -> None:
    """Records, decisions and files are those of one machine."""
    inspection.check_readable(cluster.results)
    inspection.check_journal(cluster.results, undisturbed)
    inspection.check_records(cluster.results, undisturbed)
    inspection.check_files(cluster.results, undisturbed)
    inspection.check_table(cluster.results, undisturbed.study)


def inspect_mlflow(cluster: Cluster, undisturbed: Undisturbed) -> None:
    """The MLflow on the head, as seen from there, has all that the records have."""
    with cluster.head.here():
        inspection.check_mlflow(cluster.results, undisturbed.study, MLFLOW)


def ended(cluster: Cluster) -> int:
    """How many trials have ended."""
    return len(inspection.ends(cluster.results)) if (cluster.results / NAME / "journal.jsonl").exists() else 0


def finish(study: "subprocess.Popen[str]") -> None:
    """Let a study's command end well."""
    output, _ = study.communicate(timeout=PATIENCE)
    assert study.returncode == 0, output


def test_study_on_two_nodes(network: Network, undisturbed: Undisturbed) -> None:
    cluster = clusters.make(network, workers=1)
    cluster.up()
    wait_until(lambda: len(cluster.living()) == 2, "the worker does not join")
    refused = cluster.on_head(f"cd ~/cluster/checkout; {STUDY} --results /tmp/results; echo exit code $?")
    worker = cluster.workers[0].address
    place = f"got /tmp/results, which {worker} does not see"
    assert f"error: results must lie where every node sees them, {place}" in refused
    assert "exit code 2" in refused
    # A machine that was restarted, or a colleague's, knows nothing of what `ray up` started.
    cluster.client.run("mv /tmp/ray /tmp/aside")
    finish(cluster.study())
    assert cluster.nodes().keys() == {cluster.head.address, cluster.workers[0].address}
    inspect_mlflow(cluster, undisturbed)
    finish(cluster.remote("fetch", NAME))
    fetched = cluster.client.home / "checkout" / "results" / NAME / "table.md"
    assert fetched.read_bytes() == (cluster.results / NAME / "table.md").read_bytes()
    cluster.client.run("rm -rf /tmp/ray; mv /tmp/aside /tmp/ray")
    cluster.down()
    inspect(cluster, undisturbed)
    for host in (cluster.client, cluster.head, *cluster.workers):
        # Workers of one's own end when they have not heard of their head for a while.
        wait_until(partial(is_idle, host), f"processes are left on {host.name}")


def is_idle(host: Host) -> bool:
    """Whether nothing runs there that its users started."""
    return not host.processes()


@pytest.mark.thorough
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
