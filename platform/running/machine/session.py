"""A session of Ray: on this machine alone, where nobody else reaches it, or on a cluster that stands already."""

import atexit
import gc
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import ray
import yaml

from platform.design.budget import Resources
from platform.records.one_line import one_line
from platform.records.plain import legible
from platform.records.provenance import JOB_VARIABLE, package
from platform.running.cluster import Cluster, RayFault, lives, living_nodes
from platform.running.interruption import Interruption, end_tree
from platform.running.machine.guard import guarded, on_loopback
from platform.running.machine.limits import failing_start, small_limits
from platform.running.machine.memory import MemoryKills
from platform.running.machine.places import is_gone, needed_places
from platform.running.machine.private import REMEDY, private_folder, temporary
from platform.running.workers.environment import PYTHONPATH, inheriting, users_path

CONFIGURATION_VARIABLE = "PLATFORM_CLUSTER_CONFIG"
"""The environment variable that names, on a cluster's head, the file by which `ray up` started the cluster."""
NO_WORKERS_IN_ADVANCE = {"prestart_worker_first_driver": False}
"""Where workers cannot start, `ray.init` would wait for these for ever."""
DAEMONS = {"gcs_server", "raylet"}
"""Ray's processes by name."""
RAY_SECONDS = 30.0
"""How long a Tuner may take to notice that Ray has died."""
START_SECONDS, END_SECONDS = 300.0, 60.0
"""How long Ray may take to start and to end: it has its own limits, and may miss them."""
RAY = "r"
"""Ray's own part of a private folder; short, since a socket's path is."""


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
            _init("local", {}, root, include_dashboard=False, **own)
        daemons = [child for child in psutil.Process().children() if child.name() in DAEMONS]
        ended = threading.Event()
        places = (*needed_places(), root)
        threading.Thread(target=_watch, args=(daemons, places, interruption, fail, ended), daemon=True).start()
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
        _init(address, {} if JOB_VARIABLE in os.environ else _sent(root), root)
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
    _init(address, {}, package().parent)
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


def _init(address: str, environment: dict[str, Any], root: Path, **options: Any) -> None:
    if (reason := failing_start(address, root, options.get("_temp_dir"))) is not None:
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
    return {node["NodeID"]: node["Resources"] for node in living_nodes()}


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
