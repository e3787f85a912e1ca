"""A trial's share of a GPU's memory, by a GPU that notes what is asked of it."""

from types import SimpleNamespace

import pytest
import torch

from platform.training.device.memory import keep_to_share, room_for_splits

GIB = 1024**3


@pytest.fixture
def fractions(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, torch.device]]:
    """What a GPU of 16 GiB was told of this process."""
    told: list[tuple[float, torch.device]] = []
    properties = SimpleNamespace(total_memory=16 * GIB)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda fraction, device: told.append((fraction, device))
    )
    return told


@pytest.mark.parametrize(("share", "gibibytes"), [(0.5, 7.5), (0.25, 3.5), (0.1, 1.1), (0.05, 0.4)])
def test_shares_with_what_cuda_takes_of_each_fit_together(
    share: float, gibibytes: float, fractions: list[tuple[float, torch.device]]
) -> None:
    keep_to_share(torch.device("cuda"), share)
    ((fraction, device),) = fractions
    assert device.type == "cuda"
    assert fraction * 16 == pytest.approx(gibibytes, abs=0.01)


@pytest.mark.parametrize(("device", "share"), [("cuda", 1.0), ("cuda", 2.0), ("cpu", 0.5)])
def test_a_whole_gpu_and_the_cpu_are_left_as_they_are(
    device: str, share: float, fractions: list[tuple[float, torch.device]]
) -> None:
    keep_to_share(torch.device(device), share)
    assert fractions == []


@pytest.mark.parametrize(("fraction", "gibibytes"), [(1.0, 1.6), (0.25, 0.4)])
def test_splits_take_a_tenth_of_the_share(
    fraction: float, gibibytes: float, fractions: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda device: fraction)
    assert room_for_splits(torch.device("cuda")) == int(gibibytes * GIB)
