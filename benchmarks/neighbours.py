"""Trials side by side on one device: how many images a second they train together.

Each is a process of its own, as trials are, and keeps to its share of the device's memory as they do.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest.mock import patch

import torch

from platform.methods import Adversarial, Method
from platform.methods.composition import Composition
from platform.networks import BiSeNet18
from platform.records.provenance import ROOT
from platform.shifts import town
from platform.training.data import batches
from platform.training.device.memory import keep_to_share
from platform.training.device.process import keep_memory, make_deterministic
from platform.training.recipe import Recipe
from platform.training.run import TrainingRun

MPS = "nvidia-cuda-mps-control"
"""What starts and ends CUDA's service that has kernels of several processes run at once."""
CHUNK = 5
"""Steps after which a process looks at the clock."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is trained, and where."""

    device: str
    size: tuple[int, int] = (512, 1024)
    width: float = 1.0
    """Of the network, as a multiple of the published one's."""

    def run(self, method: Method, resident: bool = False) -> TrainingRun:
        """A run at its start; the first one of a size renders its images, which takes half a minute."""
        splits = town(size=self.size, source_images=(8, 1), target_images=(8, 1, 1)).open()
        recipe = Recipe(network=BiSeNet18(width=self.width))
        # These few images fit into a GPU's memory as a whole, and those that people train on do not.
        with patch.object(batches, "room_for_splits", lambda _: 10**12 if resident else 0):
            return TrainingRun(Composition((method,)), recipe, splits, 1, 10_000, torch.device(self.device))


def together(setting: Setting, number: int, seconds: float, environment: Mapping[str, str]) -> float:
    """The images a second of so many processes, each of which trains the adversarial row for some seconds.

    Raises RuntimeError when one of them ends before it has told.
    """
    command = [sys.executable, "-m", "benchmarks.neighbours", json.dumps(asdict(setting)), str(number), str(seconds)]
    given = {**os.environ, **environment}
    # With a part of its multiprocessors a GPU is another one to cuDNN, and a trial gets other bits.
    given.pop("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", None)
    workers = [
        subprocess.Popen(command, cwd=ROOT, env=given, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
        for _ in range(number)
    ]
    try:
        for worker in workers:
            _answer(worker)
        for worker in workers:
            _begin(worker)
        return sum(float(_answer(worker)) for worker in workers)
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


@contextmanager
def service() -> Iterator[dict[str, str]]:
    """What the environment of processes must say that share the device by MPS, which ends afterwards.

    Raises RuntimeError when it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="mps-", ignore_cleanup_errors=True) as folder:
        places = {"CUDA_MPS_PIPE_DIRECTORY": f"{folder}/pipe", "CUDA_MPS_LOG_DIRECTORY": f"{folder}/log"}
        for place in places.values():
            Path(place).mkdir()
        environment = os.environ | places
        # It goes on in the background with what it was given to write to: a pipe would never end.
        quiet = subprocess.DEVNULL
        started = subprocess.run([MPS, "-d"], env=environment, stdin=quiet, stdout=quiet, stderr=quiet)
        if started.returncode != 0:
            raise RuntimeError(f"{MPS} -d ended with {started.returncode}")
        try:
            yield places
        finally:
            subprocess.run([MPS], env=environment, input=b"quit\n", stdout=quiet, stderr=quiet)


def _begin(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin is not None
    worker.stdin.write("begin\n")
    worker.stdin.flush()


def _answer(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    if not (answer := worker.stdout.readline()):
        raise RuntimeError(f"a process that trained ended with {worker.wait()}")
    return answer


def main() -> None:
    """Train as one of several processes: say when ready, and at the end how many images a second."""
    given, number, seconds = json.loads(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    setting = Setting(device=given["device"], size=tuple(given["size"]), width=given["width"])
    make_deterministic(max(1, (os.cpu_count() or 1) // number))
    keep_memory()
    keep_to_share(torch.device(setting.device), 1 / number)
    run = setting.run(Adversarial())
    run.advance(CHUNK)
    print("ready", flush=True)
    sys.stdin.readline()
    first, began = run.step, time.perf_counter()
    while time.perf_counter() - began < seconds:
        run.advance(CHUNK)
    print((run.step - first) * run.images_per_step / (time.perf_counter() - began), flush=True)


if __name__ == "__main__":
    main()
