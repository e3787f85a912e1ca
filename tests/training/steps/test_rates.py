"""Learning rates, and states of optimisers that come from another device."""

import copy

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from platform.training.steps.rates import LearningRates, load

CPU = torch.device("cpu")


def adam(parameter: nn.Parameter, fused: bool = True, lr: float = 0.1) -> Optimizer:
    return torch.optim.Adam([parameter], lr=lr, fused=fused)


def stepped(optimiser: Optimizer, parameter: nn.Parameter) -> nn.Parameter:
    parameter.grad = torch.full_like(parameter, 0.5)
    optimiser.step()
    return parameter


@pytest.mark.parametrize("recorded", [False, True])
def test_rates_are_scaled_from_what_they_were_made_with(recorded: bool) -> None:
    parameter = nn.Parameter(torch.ones(3))
    optimiser = adam(parameter)
    rates = LearningRates([optimiser], CPU, recorded)
    for factor in (0.5, 0.25):
        rates.scale(factor)
        rate = optimiser.param_groups[0]["lr"]
        assert isinstance(rate, torch.Tensor) == recorded
        assert float(rate) == pytest.approx(0.1 * factor)
    assert rates.are_there == recorded


def test_a_rate_that_an_optimiser_reads_on_the_cpu_stays_there() -> None:
    parameters = [nn.Parameter(torch.ones(3)) for _ in range(2)]
    rates = LearningRates([adam(parameters[0]), torch.optim.SGD([parameters[1]], lr=0.1)], CPU, True)
    assert not rates.are_there


@pytest.mark.parametrize("fused", [False, True])
def test_a_state_of_a_device_that_records_goes_on_where_none_does(fused: bool) -> None:
    """By PyTorch's own checks: on the CPU no optimiser counts its steps on a device."""
    there, here = (nn.Parameter(torch.ones(3)) for _ in range(2))
    of_a_gpu, own = adam(there, fused), adam(here, fused)
    rates = LearningRates([own], CPU, recorded=False)
    stepped(of_a_gpu, there)
    stepped(own, here)
    saved = copy.deepcopy(of_a_gpu.state_dict())
    saved["param_groups"][0] |= {"capturable": True, "lr": torch.tensor(0.1), "initial_lr": 0.1}
    load(own, saved)
    assert own.param_groups[0]["capturable"] is False
    rates.scale(1.0)
    of_a_gpu.param_groups[0] |= {"capturable": False, "lr": 0.1}
    assert torch.equal(stepped(own, here), stepped(of_a_gpu, there))
