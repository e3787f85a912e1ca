"""A study on a cluster of several hosts ends as on one machine."""

from functools import partial

import pytest

from tests.support.cluster import ray_cluster as clusters
from tests.support.cluster.hosts import Host, Network
from tests.support.cluster.outcome import finish, inspect, inspect_mlflow
from tests.support.cluster.ray_cluster import wait_until
from tests.support.faults.small_study import NAME, Undisturbed

pytestmark = pytest.mark.slow
STUDY = "python -m platform.study studies/quickstart.py --address auto"


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
