"""A cluster that `ray up` starts from the very `cluster.yaml`, on hosts, by a user on one of them."""

import hashlib
import json
import re
import shlex
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from platform.records.provenance import ROOT
from tests.support.cluster import configuration
from tests.support.cluster.hosts import HOME, SHARED, Host, Network
from tests.support.faults import small_study
from tests.support.faults.small_study import NAME
from tests.support.patience import PATIENCE

SHELL = f"export PATH={HOME}/cluster/venv/bin:$PATH RAY_AUTH_MODE=token"
"""What the user does first in every shell."""
# Fewer and longer trials than on one machine: a node's workers take seconds to start, and Ray Tune calls one off that
# has not started when another has become free.
TEXT = (
    small_study.TEXT.replace("steps=16", "steps=192").replace("trials=6", "trials=2").replace("grace=0.25", "grace=0.5")
)
DEPENDENCIES = ("pyproject.toml", "constraints.txt")


@dataclass(frozen=True)
class Cluster:
    """A head and workers, and the user's machine."""

    client: Host
    head: Host
    workers: tuple[Host, ...]

    @property
    def results(self) -> Path:
        """The folder of results on the shared folder, as this process sees it."""
        return self.head.network.shared / "results"

    def up(self) -> str:
        """Start the cluster, or start it again."""
        return self.client.run(f"{SHELL}; ray up --yes cluster.yaml", "checkout")

    def down(self) -> str:
        """End it."""
        return self.client.run(f"{SHELL}; ray down --yes cluster.yaml", "checkout")

    def on_head(self, command: str) -> str:
        """What a command prints on the head."""
        return self.client.run(f"{SHELL}; ray exec cluster.yaml {shlex.quote(command)}", "checkout")

    def study(self) -> "subprocess.Popen[str]":
        """The command that runs the study, goes on with it, or attaches to it."""
        return self.remote("run", f"studies/{NAME}.py")

    def remote(self, *arguments: str) -> "subprocess.Popen[str]":
        """A command for studies, on the user's machine."""
        return self.client.start(f"{SHELL}; exec python -m platform.remote {shlex.join(arguments)}", "checkout")

    def living(self) -> list[str]:
        """The addresses of the nodes that Ray has."""
        said = self.on_head("ray list nodes --format json --filter state=ALIVE")
        return re.findall(r'"node_ip": "([^"]+)"', said)

    def nodes(self) -> Counter[str]:
        """How many reports came from each address."""
        records = self.results.glob("trials/*/record.jsonl")
        lines = [line for record in records for line in record.read_text().splitlines() if line.endswith("}")]
        return Counter(json.loads(line).get("node") for line in lines if '"event": "report"' in line)


def make(network: Network, workers: int, **settings: str) -> Cluster:
    """Hosts as they are before the first `ray up`, but that the dependencies are there, so that none is downloaded."""
    client, head = network.add("client"), network.add("head")
    cluster = Cluster(client, head, tuple(network.add(f"worker{number}") for number in range(1, workers + 1)))
    for host in (head, *cluster.workers):
        sums = [f"{hashlib.sha256((ROOT / name).read_bytes()).hexdigest()}  {name}\n" for name in DEPENDENCIES]
        (host.home / "cluster" / "installed").write_text("".join(sums))
    checkout = client.home / "checkout"
    for folder in ("platform", "studies"):
        shutil.copytree(ROOT / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (*DEPENDENCIES, "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, checkout)
    (checkout / "studies" / f"{NAME}.py").write_text(TEXT)
    places = {
        "head_ip": head.address,
        "worker_ips": f"[{', '.join(worker.address for worker in cluster.workers)}]",
        "ssh_user": "root",
        "ssh_private_key": "~/.ssh/id_ed25519",
        "SHARED": str(SHARED),
    }
    text = configuration.filled_in(configuration.exchanged(configuration.FILE.read_text()), **places, **settings)
    (checkout / configuration.FILE.name).write_text(text)
    (client.home / ".ssh").mkdir(mode=0o700)
    shutil.copy(network.key, client.home / ".ssh" / "id_ed25519")
    client.run(f"{SHELL}; ray get-auth-token --generate")
    return cluster


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that must happen."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)
