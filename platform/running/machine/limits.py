"""Limits of this process under which Ray does not start, and a trial where it would end the process without a word."""

import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import psutil

from platform.running.interruption import end_tree
from platform.running.workers.words import gist

LIMITS = {
    "-v": (resource.RLIMIT_AS, 2**10, 2**24),
    "-f": (resource.RLIMIT_FSIZE, 2**10, 2**20),
    "-u": (resource.RLIMIT_NPROC, 1, 2**12),
    "-n": (resource.RLIMIT_NOFILE, 1, 2**12),
}
"""Limits as bash's `ulimit` names them, their units, and in these what nobody need wonder about."""
TRIAL_SECONDS = 100.0
LOOK_SECONDS = 0.1
TRIAL = """
import resource, sys
from contextlib import nullcontext
soft, hard = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (soft // 8 * 7, hard))
from platform.running import tuner
from platform.running.machine.guard import on_loopback
import ray
address, *folder = sys.argv[1:]
with on_loopback() if folder else nullcontext():
    options = {"_temp_dir": folder[0]} if folder else {}
    ray.init(address, include_dashboard=False, log_to_driver=False, **options)
"""
"""Starts Ray beside the libraries that the driver has, in a little less room: no two starts take the same."""


def small_limits() -> str:
    """The limits that may be the reason why Ray does not start, as the end of a sentence; empty without one."""
    here = {name: resource.getrlimit(limit)[0] // unit for name, (limit, unit, _) in LIMITS.items()}
    small = [f"ulimit {name} is {value}" for name, value in here.items() if 0 <= value < LIMITS[name][2]]
    return f"; {' and '.join(small)} here, which may be too little" if small else ""


def failing_start(address: str, root: Path, folder: str | None) -> str | None:
    """Why Ray does not start at an address where address space is limited; None where it does, or nothing is limited.

    Without room Ray aborts the process that starts it, or waits for ever, so another process tries, with the code at
    `root`. A Ray of this machine alone has its files in `folder`.
    """
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return None
    command = [sys.executable, "-c", TRIAL, address, *([folder] if folder else [])]
    with TemporaryFile() as errors:
        code = _tried(command, root, errors)
        errors.seek(0)
        said = errors.read().decode(errors="replace")
    if code is None:
        return f"it gives no answer in {TRIAL_SECONDS:.0f} seconds"
    if code < 0:
        return f"it ends by {signal.Signals(-code).name}"
    if code > 0:
        return gist(said) if "Traceback" in said else "it ends the process that starts it"
    return None


def _tried(command: Sequence[str], root: Path, errors: IO[bytes]) -> int | None:
    """The exit code of a trial, None for one that does not end; nothing that it started is left."""
    quiet = subprocess.DEVNULL
    started: set[psutil.Process] = set()
    deadline = time.monotonic() + TRIAL_SECONDS
    with subprocess.Popen(command, cwd=root, stdin=quiet, stdout=quiet, stderr=errors) as trial:
        try:
            # What it starts outlives it, and is nobody's child then.
            while trial.poll() is None and time.monotonic() < deadline:
                started.update(psutil.Process(trial.pid).children(recursive=True))
                time.sleep(LOOK_SECONDS)
            return trial.poll()
        finally:
            if trial.poll() is None:
                end_tree(psutil.Process(trial.pid))
            for process in started:
                end_tree(process)
