"""What this machine has, by its container's limits and its own answers."""

import os
from pathlib import Path

import psutil
import pytest
import torch
from ray._private.utils import get_num_cpus

from platform.running.machine import hardware
from platform.running.machine.hardware import cores, gpu, this_machine


def limits(folder: Path, **files: str) -> Path:
    for group in ("cpu", "memory"):
        (folder / group).mkdir()
    for name, text in files.items():
        (folder / name.replace("__", "/").replace("_dot_", ".")).write_text(text, encoding="ascii")
    return folder


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, None),
        ({"cpu_dot_max": "max 100000\n"}, None),
        ({"cpu_dot_max": "100000 100000\n"}, 1),
        ({"cpu_dot_max": "50000 100000\n"}, 1),
        ({"cpu_dot_max": "99900000 100000\n"}, None),
        ({"cpu_dot_max": "none"}, None),
        ({"cpu__cpu_dot_cfs_quota_us": "100000", "cpu__cpu_dot_cfs_period_us": "100000"}, 1),
        ({"cpu__cpu_dot_cfs_quota_us": "-1", "cpu__cpu_dot_cfs_period_us": "100000"}, None),
    ],
)
def test_a_container_has_the_cores_of_its_quota(tmp_path: Path, files: dict[str, str], found: int | None) -> None:
    assert cores(limits(tmp_path, **files)) == (found or os.cpu_count())


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, None),
        ({"memory_dot_max": "max\n"}, None),
        ({"memory_dot_max": "1000000000\n"}, 1e9),
        ({"memory__memory_dot_limit_in_bytes": "2000000000"}, 2e9),
        ({"memory__memory_dot_limit_in_bytes": "9223372036854771712"}, None),
    ],
)
def test_a_container_has_the_memory_of_its_limit(tmp_path: Path, files: dict[str, str], found: float | None) -> None:
    (node,) = this_machine(limits(tmp_path, **files)).nodes
    assert node["memory"] == pytest.approx(hardware.FOR_TRIALS * (found or psutil.virtual_memory().total))


def test_the_machine_has_what_ray_counts() -> None:
    (node,) = this_machine().nodes
    assert node["CPU"] == get_num_cpus()
    assert node["GPU"] == torch.cuda.device_count()
    assert node["memory"] > 1e9
    assert this_machine().has_gpus == torch.cuda.is_available()


def test_the_gpus_name_is_that_of_its_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for said, name in (("echo NVIDIA H100; echo NVIDIA H200", "NVIDIA H100"), ("exit 9", ""), ("", "")):
        gpu.cache_clear()
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{said}\n", encoding="ascii")
        (tmp_path / "nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert gpu() == name
    (tmp_path / "nvidia-smi").unlink()
    gpu.cache_clear()
    assert gpu() == ""
    gpu.cache_clear()
    assert hardware.gpu() == ""
