"""A checkout of a test's own, and every process that was started for it, known by a mark in its environment."""

import os
import signal
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.support.checkout import Checkout
from tests.support.faults.small_study import NAME
from tests.support.patience import PATIENCE

MARK = "FAULT_RUN"
GRACE = 90
"""Seconds that what Ray started may take to notice that its raylet has gone: 21 for a worker that is starting."""


@dataclass(frozen=True)
class Machine:
    """Where one test runs the study command, kills it, and looks at what it leaves."""

    checkout: Checkout
    study: str
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def results(self) -> Path:
        """The folder of results."""
        return self.checkout.root / "results"

    @property
    def folder(self) -> Path:
        """The study's folder in it."""
        return self.results / NAME

    @property
    def sqlite(self) -> str:
        """The MLflow store that the command writes to by default."""
        return f"sqlite:///{self.checkout.root / 'mlflow.db'}"

    def start(self, **environment: str) -> "Command":
        """Begin or go on with the study."""
        return self._start("platform.study", self.study, **environment)

    def deliver(self, uri: str) -> "Command":
        """Copy the results to an MLflow."""
        return self._start("platform.tracking", "results", "--to", uri)

    def _start(self, module: str, *arguments: str, **environment: str) -> "Command":
        number = len(list(self.checkout.root.glob("output-*.txt")))
        output = self.checkout.root / f"output-{number}.txt"
        with output.open("w") as file:
            marked = environment | {MARK: self.mark}
            return Command(self.checkout.start(*arguments, module=module, output=file, **marked), output)

    def processes(self) -> dict[int, str]:
        """Command lines of the living processes that were started for this machine, by their ids."""
        mark = f"{MARK}={self.mark}".encode()
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                # A zombie has neither.
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    line = (process / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
                    found[int(process.name)] = line.decode(errors="replace")[:200]
            except OSError:
                continue
        return found

    def workers(self) -> list[int]:
        """Ids of the processes that train."""
        return sorted(
            process for process, line in self.processes().items() if line.startswith("ray::") and "Trainable" in line
        )

    def left_behind(self) -> list[str]:
        """Processes that are still there when all should have ended."""
        deadline = time.monotonic() + GRACE
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return list(left.values())

    def lose_power(self) -> None:
        """End everything that runs here at once, as a machine does that goes off."""
        while processes := self.processes():
            for process in processes:
                kill(process)
            time.sleep(0.02)


@dataclass(frozen=True)
class Command:
    """A command that runs."""

    process: "subprocess.Popen[str]"
    output_file: Path

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    @property
    def output(self) -> str:
        """What it printed so far."""
        return self.output_file.read_text()

    def wait(self) -> int:
        """Its exit code; negative for the signal that killed it."""
        return self.process.wait(timeout=PATIENCE)

    def outlives(self, seconds: float) -> bool:
        """Whether it still runs so many seconds from now, or ends before."""
        try:
            self.process.wait(timeout=max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return True
        return False

    def kill(self) -> None:
        """SIGKILL to the driver alone: what it started is left to itself."""
        kill(self.process.pid)
        self.process.wait()

    def send(self, number: signal.Signals) -> None:
        """Another signal."""
        os.kill(self.process.pid, number)


class Finished(NamedTuple):
    """The study, run by the command without a fault."""

    machine: Machine
    seconds: float
    """Seconds from its start to its end, over which the moments of faults are drawn."""


def kill(process: int) -> None:
    """SIGKILL, unless it has ended."""
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return
