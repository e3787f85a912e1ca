"""Whether the workers start that trials wait for: said soon, and the end of a study where none can.

Ray tries to start a worker again and again, and says why it failed in nothing but its logs.
"""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import ray
from ray import tune
from ray.tune.experiment import Trial as RayTrial
from ray.util import placement_group_table

from platform.running.cluster import SLOW_SECONDS
from platform.running.workers.words import gist

LOOK_SECONDS = 1.0
STARTS = 2
"""How often a trial may wait for a worker that dies as it starts, while nothing trains."""
STARTED = re.compile(r"Started worker process with pid (\d+)")
LATE = re.compile(r"worker process\((\d+)\) have not registered within the timeout\. The process is still alive")
"""How Ray's log words the start of a worker, and the end of one that took too long."""
OWN_LINE = re.compile(r"^\[\d{4}-\d\d-\d\d .*\n?", re.MULTILINE)
"""A line of Ray's own beside what its workers wrote."""


class Starts:
    """The worker processes that Ray started on this machine, as far as they have not begun to work."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._read: dict[str, int] = {}
        self._starting: set[int] = set()
        self._written = ""
        self.dead = 0
        """How many died as they started, since one last began to work."""
        self.late = 0
        """How many Ray ended because they took too long, since one last began to work."""

    @property
    def words(self) -> str:
        """What they wrote, in one line; empty where they wrote nothing."""
        return gist(self._written) if self._written.strip() else ""

    @property
    def log(self) -> Path:
        """The file that takes what they write."""
        return self._logs / "raylet.err"

    def look(self) -> None:
        """Read what Ray's log says by now, and see who lives."""
        said = self._news("raylet.out")
        self._starting |= {int(pid) for pid in STARTED.findall(said)}
        late = self._starting & {int(pid) for pid in LATE.findall(said)}
        begun = {pid for pid in self._starting if any(self._logs.glob(f"python-core-worker-*_{pid}.log"))}
        dead = {pid for pid in self._starting - begun - late if not _lives(pid)}
        if begun:
            self.dead, self.late, self._written = 0, 0, ""
        self._written += OWN_LINE.sub("", self._news("raylet.err"))
        self.dead += len(dead)
        self.late += len(late)
        self._starting -= begun | dead | late

    def _news(self, name: str) -> str:
        """What was appended to a log since it was last read."""
        with suppress(OSError), (self._logs / name).open("rb") as file:
            file.seek(self._read.get(name, 0))
            appended = file.read()
            self._read[name] = file.tell()
            return appended.decode(errors="replace")
        return ""


class Waiting(tune.Callback):
    """Tells the user when trials wait for workers that do not start, and ends a study in which nothing trains for it.

    Only this machine's log can be read: of a cluster's machines Ray tells which one a trial waits for.
    """

    def __init__(self, starts: Starts | None, say: Callable[[str], None], fail: Callable[[str], None]) -> None:
        self._starts = starts
        self._say = say
        self._fail = fail
        self._has_trained = False
        self._seen = (0, 0)
        self._next = self._since = time.monotonic()
        self._told = False

    def on_step_end(self, iteration: int, trials: list[RayTrial], **info: Any) -> None:
        """Look, once a second, at what the trials wait for."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + LOOK_SECONDS
        waiting = sum(trial.status == RayTrial.PENDING for trial in trials)
        training = any(trial.status == RayTrial.RUNNING for trial in trials)
        self._has_trained |= training
        if training or not waiting:
            self._since, self._told = now, False
        if waiting and self._starts is not None:
            self._look(self._starts, waiting, training)
        if now > self._since + SLOW_SECONDS and not self._told:
            self._told = self._tell_of_slow_ones()

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def _look(self, starts: Starts, waiting: int, training: bool) -> None:
        starts.look()
        seen, self._seen = self._seen, (starts.dead, starts.late)
        if starts.late > seen[1]:
            self._say(
                "a worker took longer to start than Ray waits for it, and Ray starts another; it waits for as many "
                "seconds as RAY_worker_register_timeout_seconds has, 60 without it"
            )
        if starts.dead <= seen[0]:
            return
        why = f"{starts.words or 'it wrote nothing'} ({starts.log})"
        certain = starts.words and not self._has_trained
        if not training and (certain or starts.dead >= STARTS * waiting):
            self._fail(f"Ray's workers die as they start: {why}")
        else:
            self._say(f"a worker died as it started: {why}; Ray starts another within a minute")

    def _tell_of_slow_ones(self) -> bool:
        """Say who is slow to start; False where trials wait for something else, such as a machine."""
        if self._starts is not None:
            self._say("waiting for Ray's workers to start")
        elif reserved := sorted(_reserved()):
            where = f"waiting for Ray's workers to start at {', '.join(reserved)}"
            self._say(f"{where}; if none does, raylet.err in Ray's logs there says why")
        else:
            return False
        return True


def logs_here() -> Path:
    """Where Ray's processes on this machine write their logs."""
    return Path(ray._private.worker._global_node.get_logs_dir_path())  # type: ignore[attr-defined]


def _reserved() -> set[str]:
    """The addresses of the nodes that hold room for a trial."""
    addresses = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes()}  # type: ignore[no-untyped-call]
    groups = placement_group_table().values()
    held = {node for group in groups if group["state"] == "CREATED" for node in group["bundles_to_node_id"].values()}
    return {addresses[node] for node in held if node in addresses}


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
