"""What a device computes in, on GPUs that are made up."""

import pytest
import torch

from platform.training.device.arithmetic import Arithmetic


@pytest.mark.parametrize(
    ("has_bfloat16", "type_", "name", "is_scaled"),
    [(True, torch.bfloat16, "bfloat16", False), (False, torch.float16, "float16", True)],
)
def test_a_gpu_computes_in_bfloat16_where_it_need_not_emulate_it(
    has_bfloat16: bool, type_: torch.dtype, name: str, is_scaled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_supported(including_emulation: bool = True) -> bool:
        return has_bfloat16 or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    found = Arithmetic.of(torch.device("cuda"))
    assert found == Arithmetic(type_, torch.channels_last, torch.channels_last)
    assert (found.name, found.is_half, found.is_scaled) == (name, True, is_scaled)


def test_the_cpu_computes_in_single_precision() -> None:
    found = Arithmetic.of(torch.device("cpu"))
    assert (found.type, found.weights) == (torch.float32, torch.contiguous_format)
    assert (found.name, found.is_half, found.is_scaled) == ("float32", False, False)
