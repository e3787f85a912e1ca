"""The Ray that a study runs on: this machine's own or a cluster's, what it offers, and which nodes are excluded."""

import atexit
import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import ray
import yaml
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from platform.design.budget import Resources
from platform.records.one_line import one_line
from platform.records.plain import legible
from platform.records.provenance import JOB_VARIABLE
from platform.records.storage.storage import Mark, NotShared, Storage, sees
from platform.running.interruption import Interruption, end_tree
from platform.running.placement import Offer, fit, holds_any
from platform.running.workers.environment import PYTHONPATH, inheriting, users_path
from platform.running.workers.guard import guarded, on_loopback
from platform.running.workers.limits import failing_start, small_limits
from platform.running.workers.memory import MemoryKills
from platform.running.workers.places import is_gone, needed_places
from platform.running.workers.private import REMEDY, private_folder, temporary

CONFIGURATION_VARIABLE = "PLATFORM_CLUSTER_CONFIG"
"""The environment variable that names, on a cluster's head, the file by which `ray up` started the cluster."""
HEAD = "node:__internal_head__"
"""A resource that only the head has."""
NO_WORKERS_IN_ADVANCE = {"prestart_worker_first_driver": False}
"""Where workers cannot start, `ray.init` would wait for these for ever."""
DAEMONS = {"gcs_server", "raylet"}
"""Ray's processes by name."""
RAY_SECONDS = 30.0
"""How long a Tuner may take to notice that Ray has died."""
START_SECONDS, END_SECONDS = 300.0, 60.0
"""How long Ray may take to start and to end: it has its own limits, and may miss them."""
REFRESH_SECONDS = 1.0
"""How old the list of nodes may be."""
JOIN_SECONDS = 180.0
"""How long a study waits at its start for machines that its cluster expects."""
EXCLUDED_NODES = 3
"""Unfit nodes in a row, with none left, after which no more are awaited: each new one costs."""
RAY = "r"
"""Ray's own part of a private folder; short, since a socket's path is."""
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
    nodes = _living()
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


@contextmanager
def local(root: Path, interruption: Interruption, fail: Callable[[str], None]) -> Iterator[Cluster]:
    """Ray on this machine alone, whose workers import the code at `root`; `fail` is told when Ray dies.

    Nobody else reaches it: neither its ports nor its files. Raises RayFault.
    """
    with _for_ray() as folder, guarded(folder):
        with (
            _keeping_signals(interruption),
            inheriting(root),
            on_loopback(),
            _bounded(interruption, START_SECONDS, "does not start"),
        ):
            # Ray opens the folder to everybody, but nobody comes through the one above.
            own = {"_temp_dir": str(folder / RAY), "_system_config": NO_WORKERS_IN_ADVANCE}
            _init("local", {}, include_dashboard=False, **own)
        daemons = [child for child in psutil.Process().children() if child.name() in DAEMONS]
        ended = threading.Event()
        threading.Thread(target=_watch, args=(daemons, needed_places(), interruption, fail, ended), daemon=True).start()
        try:
            yield Cluster(_nodes, {}, MemoryKills())
        finally:
            ended.set()
            started = [process for daemon in daemons for process in _tree(daemon)]
            with _bounded(interruption, END_SECONDS, "does not end"):
                _leave(died=not all(lives(daemon.pid) for daemon in daemons))
            # A worker that stands still outlives Ray.
            for process in started:
                end_tree(process)


@contextmanager
def _for_ray() -> Iterator[Path]:
    """A private folder for Ray's files, of which its logs stay after an error. Raises RayFault."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(private_folder(kept=f"{RAY}/session_[0-9]*/logs"))
        except OSError as error:
            raise RayFault(f"Ray does not start: {one_line(error)}{_way_out(error)}") from error
        yield folder


@contextmanager
def joined(address: str, root: Path, interruption: Interruption, fail: Callable[[str], None]) -> Iterator[Cluster]:
    """The cluster whose head is at an address; its workers import the code at `root`. Raises RayFault.

    `fail` is told when the folder of Ray on this machine is deleted.
    """
    with _keeping_signals(interruption), _bounded(interruption, START_SECONDS, "does not start"):
        _init(address, {} if JOB_VARIABLE in os.environ else _sent(root))
    ended = threading.Event()
    threading.Thread(target=_watch, args=((), needed_places(), interruption, fail, ended), daemon=True).start()
    try:
        yield Cluster(_nodes, _configuration())
    finally:
        ended.set()
        with _bounded(interruption, END_SECONDS, "does not end"):
            _leave(died=False)


def _sent(root: Path) -> dict[str, Any]:
    """What a cluster's workers get of this machine: the code, and behind it the folders of the user's PYTHONPATH.

    Many clusters' machines share those; where they are missing they do no harm, and a machine's own come behind them.
    """
    variables = {PYTHONPATH: os.pathsep.join(users)} if (users := users_path()) else {}
    return {"working_dir": str(root), "env_vars": variables}


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """The cluster at an address, to look at and not to train on. Raises RayFault."""
    _init(address, {})
    try:
        yield Cluster(_nodes, _configuration())
    finally:
        ray.shutdown()


@contextmanager
def _keeping_signals(interruption: Interruption) -> Iterator[None]:
    """Keep signals from the processes that Ray starts, without which no trial stops in order, and SIGTERM from Ray."""
    with interruption.shielded_children():
        try:
            yield
        except SystemExit:
            # Ray's own answer to SIGTERM, when another thread takes it.
            interruption.note(signal.SIGTERM)


@contextmanager
def _bounded(interruption: Interruption, seconds: float, what: str) -> Iterator[None]:
    """End the process where Ray answers neither with success nor with an error."""
    words = f"error: Ray {what} in {seconds:.0f} seconds; the same command goes on from here"
    late = threading.Timer(seconds, interruption.leave, [words])
    late.daemon = True
    late.start()
    try:
        yield
    finally:
        late.cancel()


def _init(address: str, environment: dict[str, Any], **options: Any) -> None:
    if (reason := failing_start(address)) is not None:
        raise RayFault(f"Ray does not start: {reason}{small_limits()}")
    try:
        with _legible_command():
            ray.init(address, runtime_env=environment, log_to_driver=False, logging_level=logging.ERROR, **options)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) or (isinstance(error, SystemExit) and error.code == signal.SIGTERM):
            raise
        # Of a machine that is too busy, or has too few open files, Ray says nothing more special.
        said = one_line(error) if str(error).strip() else type(error).__name__
        raise RayFault(f"Ray does not start: {said}{_way_out(error)}") from error


@contextmanager
def _legible_command() -> Iterator[None]:
    """Have Ray note the command that began a study as text: it does not take the bytes of a path in it."""
    utils: Any = ray._private.utils
    told = utils.get_entrypoint_name
    utils.get_entrypoint_name = lambda: legible(told())
    try:
        yield
    finally:
        utils.get_entrypoint_name = told


def _way_out(error: BaseException) -> str:
    """What helps where Ray cannot write its files, or does not take the bytes of a path."""
    refused = isinstance(error, OSError) and str(temporary()) in str(error)
    return f"; {REMEDY}" if refused or isinstance(error, UnicodeEncodeError) else small_limits()


def _leave(died: bool) -> None:
    # The Tuner leaves cycles that hold Ray's handles. Whichever thread collects them after the shutdown makes Ray end
    # the whole process at once, without the table.
    gc.collect()
    if died:
        # It would wait for an answer until Ray ends the process.
        atexit.unregister(ray.shutdown)
    else:
        ray.shutdown()


def _configuration() -> dict[str, Any]:
    """The configuration that `ray up` was given, if this is a head that it started; else empty."""
    file = os.environ.get(CONFIGURATION_VARIABLE)
    if file is None or not (path := Path(file).expanduser()).is_file():
        return {}
    read: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return read


def _nodes() -> dict[str, Resources]:
    return {node["NodeID"]: node["Resources"] for node in _living()}


def _living() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def _alike(node: Resources, kind: Resources) -> bool:
    return all(node.get(name, 0) == kind[name] for name in ("CPU", "GPU") if name in kind)


def _tree(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _watch(
    daemons: Sequence[psutil.Process],
    places: Sequence[Path],
    interruption: Interruption,
    fail: Callable[[str], None],
    ended: threading.Event,
) -> None:
    """End a study whose Ray has died: the Tuner waits for its answer until Ray ends the process, without a word.

    Where Ray's files are gone, what runs still stops in order, but nothing new starts.
    """
    fault = ""
    while not fault and not ended.wait(1.0):
        if not all(lives(daemon.pid) for daemon in daemons):
            fault = "one of Ray's own processes died; memory may have run out"
            for daemon in daemons:
                end_tree(daemon)
        elif (gone := next((place for place in places if is_gone(place)), None)) is not None:
            fault = f"{gone}, which Ray needs, was deleted; have RAY_TMPDIR name a folder that nothing cleans up"
    if not fault:
        return
    fail(fault)
    if not ended.wait(RAY_SECONDS):
        interruption.leave(f"error: {fault}; the same command goes on from here")
