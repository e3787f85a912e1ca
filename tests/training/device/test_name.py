"""What a device is called on record, on GPUs that are made up."""

from types import SimpleNamespace

import pytest
import torch

from platform.records.record import CPU, model_of
from platform.training.device.name import name_of


def test_no_gpu_has_the_name_of_none() -> None:
    assert name_of(torch.device("cpu")) == CPU


@pytest.mark.parametrize(
    ("model", "seen", "name"),
    [
        ("NVIDIA H100 80GB HBM3", 132, "NVIDIA H100 80GB HBM3, 132 multiprocessors"),
        # Half of its threads, by MPS.
        ("NVIDIA H100 80GB HBM3", 66, "NVIDIA H100 80GB HBM3, 66 multiprocessors"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", 16, "NVIDIA H100 80GB HBM3 MIG 1g.10gb, 16 multiprocessors"),
    ],
)
def test_a_gpu_is_named_with_what_the_process_sees_of_it(
    model: str, seen: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def properties(device: torch.device) -> SimpleNamespace:
        asked.append(device)
        return SimpleNamespace(multi_processor_count=seen)

    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: model if device.index == 1 else "another")
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    device = torch.device("cuda", 1)
    assert name_of(device) == name
    assert asked == [device]
    assert model_of(name) == model


@pytest.mark.parametrize("name", ["NVIDIA H100 80GB HBM3", CPU, "", "132 multiprocessors", "X, 132 multiprocessors, Y"])
def test_a_name_without_a_number_is_a_model(name: str) -> None:
    assert model_of(name) == name
