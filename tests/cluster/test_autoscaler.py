"""Ray's own autoscaler sees the true demand of a study, on one host whose workers are pretended machines."""

import shutil

import pytest
import yaml

from platform.records.provenance import ROOT
from tests.support.cluster.hosts import Host, Network
from tests.support.cluster.ray_cluster import SHELL

pytestmark = pytest.mark.slow

HEAD = "ray.head.default"
"""The only name of a head that Ray's pretending provider knows."""
CLUSTER = {
    "cluster_name": "pretended",
    "provider": {"type": "fake_multinode", "launch_multiple": True},
    "head_node_type": HEAD,
    "available_node_types": {
        HEAD: {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        "worker": {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 3},
    },
    "max_workers": 3,
    "idle_timeout_minutes": 1,
    "upscaling_speed": 1.0,
    **{key: {} for key in ("auth", "docker", "file_mounts")},
    **{key: [] for key in ("setup_commands", "initialization_commands", "cluster_synced_files")},
    **{key: [] for key in ("head_setup_commands", "worker_setup_commands")},
    **{key: [] for key in ("head_start_ray_commands", "worker_start_ray_commands")},
}
STUDY = '''"""How many trials wait?"""

from platform.methods import SourceOnly
from platform.networks import BiSeNet18
from platform.shifts import town
from platform.study import Arm, Budget, Recipe, Study

study = Study(
    shift=town(size=(64, 64), source_images=(8, 4), target_images=(8, 4, 4)),
    arms={"source only": Arm(SourceOnly)},
    reference="source only",
    budget=Budget(steps=4, evaluations=2, cpus=CPUS),
    seeds=6,
    recipe=Recipe(network=BiSeNet18(width=0.125), batch=2),
)
'''


@pytest.fixture
def head(network: Network) -> Host:
    """A host with a checkout and a head that trains nothing, whose autoscaler has started no worker."""
    host = network.add("head")
    for folder in ("platform", "studies"):
        shutil.copytree(ROOT / folder, host.home / "checkout" / folder)
    shutil.copy(ROOT / ".gitignore", host.home / "checkout")
    (host.home / "cluster.yaml").write_text(yaml.safe_dump(CLUSTER))
    autoscaler = "AUTOSCALER_UPDATE_INTERVAL_S=1 RAY_FAKE_CLUSTER=1 RAY_enable_autoscaler_v2=0"
    host.run(f"{SHELL}; ray get-auth-token --generate")
    host.run(f"{SHELL}; {autoscaler} ray start --head --port 6379 --num-cpus=0 --autoscaling-config=$HOME/cluster.yaml")
    return host


def study(head: Host, cpus: int, *options: str) -> str:
    """What the study command prints; its last line is the exit code."""
    (head.home / "checkout" / "studies" / "waiting.py").write_text(STUDY.replace("CPUS", str(cpus)))
    command = f"python -m platform.study studies/waiting.py --address auto {' '.join(options)}"
    return head.run(f"{SHELL} PLATFORM_CLUSTER_CONFIG=~/cluster.yaml; {command}; echo $?", "checkout")


def test_all_workers_are_started_at_once_for_trials_that_wait(head: Host) -> None:
    assert "3 trials at a time" in " ".join(study(head, 1, "--plan").split())
    said = study(head, 1).splitlines()
    assert said[-1] == "0", said
    launched = head.run("grep --no-filename 'Launching' /tmp/ray/session_latest/logs/monitor*")
    assert [line.split("Launching ")[1] for line in launched.splitlines()] == ["3 nodes, type worker."]


def test_what_no_machine_that_may_be_started_can_hold_is_refused(head: Host) -> None:
    said = study(head, 2).splitlines()
    assert said[-1] == "2", said
    assert "needs 2 CPUs on one node, and no node has that: at most 1 CPU;" in said[-2]
