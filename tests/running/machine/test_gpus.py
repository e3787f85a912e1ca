"""GPUs of known names, and what a step takes of one, against what was reckoned operation by operation."""

import pytest

from platform.running.machine.gpus import KNOWN, LARGER, OF_BANDWIDTH, Gpu, known, known_of, load
from platform.training.cost.traffic import Traffic
from platform.training.steps.graph import SLOWER

H100 = known("H100")
assert H100 is not None

RECKONED = {
    # GB, TFLOP and kernels of a step, and milliseconds on an L4, an A100 and an H100, each operation at the slower of
    # what it computes and what it reads and writes.
    "source only": (13.2, 0.67, 447, (60, 13.6, 5.7)),
    "FDA": (19.8, 1.27, 846, (93, 22.0, 9.0)),
    "adversarial": (24.2, 2.13, 953, (119, 29.7, 11.7)),
    "adversarial, separable": (24.7, 1.36, 1008, (113, 25.9, 10.8)),
}


def traffic(gigabytes: float = 10.0, kernels: int = 500, kept: float = 1e9, is_repeated: bool = False) -> Traffic:
    return Traffic(kernels, bytes=gigabytes * 1e9, kept=kept, parameters=12_000_000, is_repeated=is_repeated)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Tesla T4", "T4"),
        ("Tesla V100-SXM2-16GB", "V100"),
        ("NVIDIA A10G", "A10G"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA GeForce RTX 3090", "RTX 3090"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA A100-SXM4-40GB", "A100"),
        ("NVIDIA A100-SXM4-80GB", "A100 80 GB"),
        ("A100-80G", "A100 80 GB"),
        ("NVIDIA A100 80GB PCIe", "A100 80 GB"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA L40S", None),
        ("NVIDIA A10", None),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", None),
        ("NVIDIA GeForce RTX 4090 Ti", "RTX 4090"),
        ("AMD Instinct MI300X", None),
        ("", None),
    ],
)
def test_a_gpu_is_known_by_its_name(name: str, found: str | None) -> None:
    gpu = known(name)
    assert (None if gpu is None else gpu.name) == found


def test_a_clusters_gpus_are_those_that_its_nodes_name() -> None:
    nodes = (
        {"CPU": 8.0, "GPU": 1.0, "accelerator_type:L4": 1.0},
        {"CPU": 8.0, "GPU": 1.0, "accelerator_type:L4": 1.0},
        {"CPU": 8.0, "GPU": 8.0, "accelerator_type:A100": 1.0, "accelerator_type:A100-80G": 1.0},
        {"CPU": 8.0, "GPU": 1.0, "accelerator_type:L40S": 1.0},
        {"CPU": 8.0, "accelerator_type:H100": 0.0},
    )
    assert {gpu.name for gpu in known_of(nodes)} == {"L4", "A100 80 GB"}
    assert known_of([{"CPU": 2.0}]) == []


@pytest.mark.parametrize("row", RECKONED)
def test_a_steps_time_is_about_what_its_operations_add_up_to(row: str) -> None:
    gigabytes, teraflop, kernels, milliseconds = RECKONED[row]
    gpus = [gpu for gpu in KNOWN if gpu.name in ("L4", "A100", "H100")]
    for gpu, expected in zip(gpus, milliseconds, strict=True):
        found = load(gpu, traffic(gigabytes, kernels), 1000 * teraflop)
        assert expected <= 1000 * found.device < 1.25 * expected
        assert found.launching == pytest.approx(kernels * 20e-6)
        # On an H100 alone the host is the slower one.
        assert found.trials == (2 if gpu is H100 else 1)


def test_a_step_that_is_repeated_leaves_no_gpu_waiting_that_repeats_any() -> None:
    for gpu in KNOWN:
        found = load(gpu, traffic(1.5, 1000, is_repeated=True), 100)
        repeats = gpu.name not in ("T4", "V100")
        assert found.launching == pytest.approx(0.001 if repeats else 0.02)
        assert found.trials == (2 if found.launching > found.device else 1)
    assert H100 is not None
    assert load(H100, traffic(24, 1000, is_repeated=True), 2000).trials == 1


def test_a_step_is_repeated_where_launching_it_is_about_as_slow_as_the_gpu() -> None:
    """500 kernels are launched in 10 ms, so that a GPU that takes 11 ms is the last one."""
    gpu, border = Gpu("of 1 GB a ms", 1000, 1000 / OF_BANDWIDTH, 80), 10 * SLOWER
    near, beyond = (load(gpu, traffic(border * by, kernels=500, is_repeated=True), 0) for by in (0.999, 1.001))
    assert [near.launching, beyond.launching] == pytest.approx([0.001, 0.01])
    assert near.trials == beyond.trials == 1


@pytest.mark.parametrize("row", RECKONED)
def test_what_is_repeated_on_an_h100_is_not_on_slower_gpus(row: str) -> None:
    gigabytes, teraflop, kernels, _ = RECKONED[row]
    for gpu in KNOWN:
        if gpu.name in ("L4", "A100", "H100"):
            found = load(gpu, traffic(gigabytes, kernels, is_repeated=True), 1000 * teraflop)
            assert found.launching == pytest.approx(0.001 if gpu is H100 else kernels * 20e-6)
            assert found.trials == 1


def test_a_gpu_carries_no_more_than_its_memory_holds() -> None:
    small = Gpu("small", 1000, 10_000, 8)
    assert load(small, traffic(gigabytes=1, kept=1e9), 10).trials == 2
    assert load(small, traffic(gigabytes=1, kept=3e9), 10).trials == 1
    # One that holds none: the trial halves its batches.
    assert load(small, traffic(gigabytes=1, kept=30e9), 10).trials == 1


def test_figures_are_those_of_data_sheets() -> None:
    """The order of generations, by which a slip of the pen would show."""
    by_name = {gpu.name: gpu for gpu in (*KNOWN, LARGER)}
    order = ["T4", "A10G", "A100", "H100"]
    assert [*map(by_name.get, order)] == sorted(map(by_name.get, order), key=lambda gpu: gpu.teraflops if gpu else 0)
    assert by_name["A100"].bandwidth < by_name["A100 80 GB"].bandwidth < by_name["H100"].bandwidth
    assert by_name["H200"].bandwidth > by_name["H100"].bandwidth
    assert [by_name[name].article for name in ("T4", "L4", "A100", "RTX 4090", "V100")] == ["a", "an", "an", "an", "a"]
