"""The Ray that a study runs on: this machine's own or a cluster's, what it offers, and which nodes are excluded."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psutil
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from platform.design.budget import Resources
from platform.records.one_line import one_line
from platform.records.storage.storage import Mark, NotShared, Storage, sees
from platform.running.machine.memory import MemoryKills
from platform.running.placement import Offer, fit, holds_any

HEAD = "node:__internal_head__"
"""A resource that only the head has."""
REFRESH_SECONDS = 1.0
"""How old the list of nodes may be."""
JOIN_SECONDS = 180.0
"""How long a study waits at its start for machines that its cluster expects."""
EXCLUDED_NODES = 3
"""Unfit nodes in a row, with none left, after which no more are awaited: each new one costs."""
SLOW_SECONDS = 20.0
"""How long it may take before the user is told."""
MOUNT_SECONDS = 180.0
"""How long a node may take to say whether it sees the results: a mount may hang for ever."""


class RayFault(Exception):
    """Ray does not start, refuses the address, or has died."""


class Cluster:
    """The nodes that Ray has, except those that were excluded because they cannot train."""

    def __init__(
        self,
        nodes: Callable[[], Mapping[str, Resources]],
        configuration: Mapping[str, Any],
        kills: MemoryKills | None = None,
    ) -> None:
        self.kills = kills
        """What the kernel says, where all workers are on its machine."""
        self._nodes = nodes
        self._configuration = configuration
        self._seen: dict[str, Resources] = {}
        self._excluded: dict[str, str] = {}
        self._excluded_in_a_row = 0
        self._offer: Offer | None = None
        self._asked = 0.0
        self._expects = True

    @property
    def excluded(self) -> Mapping[str, str]:
        """Why nodes get no more trials, by their ids."""
        return self._excluded

    def exclude(self, node: str, reason: str) -> None:
        """Send no more trials to a node."""
        if node not in self._excluded:
            self._excluded_in_a_row += 1
        self._excluded[node] = reason
        self._offer = None

    def note_use(self) -> None:
        """Note that a node has trained, so nodes that cannot train are the exception."""
        self._excluded_in_a_row = 0

    def offer(self) -> Offer:
        """The nodes that there are and that may come, at most a second old."""
        if self._offer is None or time.monotonic() > self._asked + REFRESH_SECONDS:
            nodes = self._nodes()
            self._seen.update(nodes)
            usable = tuple(resources for node, resources in nodes.items() if node not in self._excluded)
            to_come, unknown = awaited(list(nodes.values()), self._configuration)
            if self._excluded_in_a_row >= EXCLUDED_NODES and all(HEAD in node for node in usable):
                to_come = ()
            self._offer = Offer(usable, to_come, unknown if self._expects else 0)
            self._asked = time.monotonic()
        return self._offer

    def has_room(self, taken: Sequence[Resources], wanted: Resources) -> bool:
        """Whether a trial fits beside others, now or when all nodes run that an autoscaler may start.

        Trials are asked for until nothing fits any more: an autoscaler starts nodes for what it sees waiting.
        """
        return fit([*taken, wanted], self.offer().ever)

    def may_hold(self, wanted: Resources) -> bool:
        """Whether any node may hold a trial: one that runs, that may be started, or that has left and may come back."""
        if holds_any(wanted, self.offer().ever):
            return True
        lost = (resources for node, resources in self._seen.items() if node not in self._excluded)
        return self._excluded_in_a_row < EXCLUDED_NODES and holds_any(wanted, lost)

    def await_expected(self, say: Callable[[str], None], stopped: Callable[[], bool]) -> int:
        """Wait for machines that are about to join: what they have decides whether trials ask for GPUs.

        Returns how many did not come.
        """
        deadline, said = time.monotonic() + JOIN_SECONDS, 0
        while (missing := self.offer().unknown) and time.monotonic() < deadline and not stopped():
            if missing != said:
                say(f"waiting for {machines(missing)} that the cluster expects")
                said = missing
            time.sleep(REFRESH_SECONDS)
        # Whoever comes later is used; but nobody waits for one that may never come.
        self._expects, self._offer = False, None
        return missing


def lives(pid: int) -> bool:
    """Whether a process of this machine runs; one that has ended and was not waited for does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def machines(count: int) -> str:
    """The number of machines in words: `1 machine`, `3 machines`."""
    return f"{count} machine{'' if count == 1 else 's'}"


def refuse_unshared(where: Storage, mark: Mark, say: Callable[[str], None]) -> None:
    """Raise NotShared when a living node does not see a mark in the results, and RayFault when it cannot look."""
    look = ray.remote(num_cpus=0, max_retries=0)(sees)
    nodes = living_nodes()
    answers = [
        look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(where, mark)
        for node in nodes
    ]
    _, late = ray.wait(answers, num_returns=len(answers), timeout=SLOW_SECONDS)
    if late:
        slow = [node["NodeManagerAddress"] for node, answer in zip(nodes, answers, strict=True) if answer in late]
        say(f"waiting for Ray's workers to start at {', '.join(slow)}")
    for node, answer in zip(nodes, answers, strict=True):
        address = node["NodeManagerAddress"]
        try:
            shared = ray.get(answer, timeout=MOUNT_SECONDS)
        except ray.exceptions.GetTimeoutError as error:
            raise RayFault(
                f"{address} does not say in {MOUNT_SECONDS:.0f} seconds whether it sees {where}: its mount hangs, or "
                "its workers do not start, of which raylet.err in Ray's logs there says more"
            ) from error
        except (ray.exceptions.RayTaskError, ray.exceptions.RuntimeEnvSetupError) as error:
            raise RayFault(f"{address} cannot run what it is sent: {one_line(error, keep='end')}") from error
        except ray.exceptions.RayError:
            # A node that has just gone gets no trials either.
            continue
        if not shared:
            raise NotShared(where, address)


def awaited(living: Sequence[Resources], configuration: Mapping[str, Any]) -> tuple[tuple[Resources, ...], int]:
    """The nodes that an autoscaler may start besides the living ones, and how many more of unknown resources.

    `configuration` is what `ray up` was given, as Ray completed it. Nodes do not tell their types: each counts as one
    of the first type that has its CPUs and GPUs.
    """
    kinds = {name: kind.get("resources", {}) for name, kind in configuration.get("available_node_types", {}).items()}
    left = {name: configuration["available_node_types"][name].get("max_workers", 0) for name in kinds}
    workers = [node for node in living if HEAD not in node]
    for node in workers:
        if (like := next((name for name in kinds if left[name] and _alike(node, kinds[name])), None)) is not None:
            left[like] -= 1
    room = max(0, configuration.get("max_workers", 0) - len(workers))
    to_come = [kinds[name] for name, count in left.items() for _ in range(count)][:room]
    known = tuple(node for node in to_come if node)
    return known, len(to_come) - len(known)


def living_nodes() -> list[dict[str, Any]]:
    """What Ray says of the nodes that are there."""
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def _alike(node: Resources, kind: Resources) -> bool:
    return all(node.get(name, 0) == kind[name] for name in ("CPU", "GPU") if name in kind)
