"""What this machine has, found without starting Ray, which takes seconds that a plan should not wait for."""

import functools
import os
import subprocess
from pathlib import Path

import psutil
import torch

from platform.running.placement import Offer

FOR_TRIALS = 0.7
"""The share of the memory that Ray gives to trials."""
CONTAINER = Path("/sys/fs/cgroup")
"""Where a container's limits stand."""
ANSWER_SECONDS = 10


def this_machine(limits: Path = CONTAINER) -> Offer:
    """The offer of this machine alone, about as Ray will count it, which leaves out memory that others use by then."""
    gpus, memory = torch.cuda.device_count(), FOR_TRIALS * _memory(limits)
    return Offer(({"CPU": float(cores(limits)), "GPU": float(gpus), "memory": memory},))


def cores(limits: Path = CONTAINER) -> int:
    """The processor cores that this machine has, or that its container may use, at least 1."""
    counted = os.cpu_count() or 1
    for quota, period in ((_number(limits, "cpu.max", 0), _number(limits, "cpu.max", 1)), _older(limits)):
        if quota > 0 and period > 0:
            return max(1, min(counted, quota // period))
    return counted


def _memory(limits: Path) -> int:
    """The bytes of memory that this machine has, or that its container may use."""
    quotas = (_number(limits, "memory.max", 0), _number(limits, "memory/memory.limit_in_bytes", 0))
    return min([psutil.virtual_memory().total, *(quota for quota in quotas if quota > 0)])


@functools.cache
def gpu() -> str:
    """The name of this machine's first GPU as PyTorch has it, without the memory that PyTorch would take to ask."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=ANSWER_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.stdout.partition("\n")[0].strip()


def _older(limits: Path) -> tuple[int, int]:
    """The limits as the first version of control groups has them."""
    return _number(limits, "cpu/cpu.cfs_quota_us", 0), _number(limits, "cpu/cpu.cfs_period_us", 0)


def _number(limits: Path, file: str, place: int) -> int:
    """A number of a file; 0 where there is none."""
    try:
        return int((limits / file).read_text(encoding="ascii").split()[place])
    except (OSError, ValueError, IndexError):
        return 0
