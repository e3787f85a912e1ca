"""Whether the workers start that trials wait for: said soon, and the end of a study where none can.

Ray tries to start a worker again and again, and says why it failed in nothing but its logs.
"""

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial as RayTrial
from ray.util import placement_group_table

from platform.records.one_line import one_line
from platform.running.cluster import SLOW_SECONDS, lives
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
        self._written = ""
        self.starting: set[int] = set()
        """The processes that live and have not begun."""
        self.dead = 0
        """How many died as they started, since one last began to work."""

    @property
    def words(self) -> str:
        """What they wrote, in one line; empty where they wrote nothing."""
        return gist(self._written) if self._written.strip() else ""

    @property
    def log(self) -> Path:
        """The file that takes what they write."""
        return self._logs / "raylet.err"

    @property
    def have_said(self) -> bool:
        """Whether Python itself said why one of them ended: a warning among what they wrote is no reason."""
        return any(sign in self._written for sign in ("Traceback", "SystemExit", "Error"))

    def look(self) -> tuple[int, int]:
        """How many died as they started since the last look, and how many Ray ended because they took too long."""
        said = self._news("raylet.out")
        self.starting |= {int(pid) for pid in STARTED.findall(said)}
        late = self.starting & {int(pid) for pid in LATE.findall(said)}
        begun = {pid for pid in self.starting if any(self._logs.glob(f"python-core-worker-*_{pid}.log"))}
        dead = {pid for pid in self.starting - begun - late if not lives(pid)}
        if begun:
            self.dead, self._written = 0, ""
        self._written += OWN_LINE.sub("", self._news("raylet.err"))
        self.dead += len(dead)
        self.starting -= begun | dead | late
        return len(dead), len(late)

    def _news(self, name: str) -> str:
        """The whole lines that were appended to a log since it was last read."""
        with suppress(OSError), (self._logs / name).open("rb") as file:
            since = self._read.get(name, 0)
            file.seek(0 if since > file.seek(0, os.SEEK_END) else since)  # Ray begins its logs anew when they are long
            lines, _, rest = file.read().rpartition(b"\n")
            self._read[name] = file.tell() - len(rest)
            return f"{lines.decode(errors='replace')}\n"
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
        self._next = self._since = time.monotonic()
        self._told = False

    def on_step_end(self, iteration: int, trials: list[RayTrial], **info: Any) -> None:
        """Look, once a second, at what the trials wait for."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + LOOK_SECONDS
            try:
                self._see(trials, now)
            except Exception as error:
                # Ray Tune would end without a table.
                self._fail(f"Ray does not say what its workers do: {one_line(error)}")

    def _see(self, trials: list[RayTrial], now: float) -> None:
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
        dead, late = starts.look()
        if late:
            self._say(
                "a worker took longer to start than Ray waits for it, and Ray starts another; it waits for as many "
                "seconds as RAY_worker_register_timeout_seconds has, 60 without it"
            )
        if not dead:
            return
        why = f"{starts.words or 'it wrote nothing'} ({starts.log})"
        certain = starts.have_said and not starts.starting and not self._has_trained
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


def _reserved() -> set[str]:
    """The addresses of the nodes that hold room for a trial."""
    addresses = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes()}  # type: ignore[no-untyped-call]
    groups = placement_group_table().values()
    held = {node for group in groups if group["state"] == "CREATED" for node in group["bundles_to_node_id"].values()}
    return {addresses[node] for node in held if node in addresses}
