"""AdaBN: the target's statistics in a network that was trained on the source, and nothing else."""

from typing import Any

import pytest
import torch
from torch import nn

from platform.methods import AdaBN
from platform.methods.composition import Composition
from platform.networks.modes import NORMS
from platform.training.run import TrainingRun
from tests.support.tiny_splits import CPU, assert_same, parameters, recipe, running_statistics, splits


def run_from(given: nn.Module, steps: int = 4, **values: object) -> TrainingRun:
    return TrainingRun(Composition((AdaBN(),)), recipe(**values), splits(), 1, steps, CPU, [given])  # type: ignore[list-item]


def network() -> nn.Module:
    """One that has been trained: its statistics are of other images."""
    torch.manual_seed(3)
    built = recipe().network.build().train()
    with torch.no_grad():
        for _ in range(2):
            built(255 * torch.rand(4, 3, 64, 64))
    return built


@pytest.mark.parametrize("batch_norm", ["mixed", "source", "frozen"])
def test_statistics_are_the_average_over_the_targets_batches(batch_norm: str) -> None:
    run, other = run_from(network(), batch_norm=batch_norm), network()
    seen: dict[str, list[torch.Tensor]] = {}

    def keep(name: str):  # type: ignore[no-untyped-def]
        return lambda layer, inputs: seen.setdefault(name, []).append(inputs[0].transpose(0, 1).flatten(1))

    layers = {name: layer for name, layer in other.named_modules() if isinstance(layer, NORMS)}
    for name, layer in layers.items():
        layer.register_forward_pre_hook(keep(name))
    other.train()
    with torch.no_grad():
        for step in range(3):
            other(run.batches.at(step)["target"].images)
    run.advance(3)
    found = running_statistics(run)
    for name in layers:
        means = torch.stack([batch.mean(1) for batch in seen[name]]).mean(0)
        variances = torch.stack([batch.var(1) for batch in seen[name]]).mean(0)
        torch.testing.assert_close(found[f"{name}.running_mean"], means, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found[f"{name}.running_var"], variances, rtol=1e-4, atol=1e-5)


def test_no_weight_changes() -> None:
    given = network()
    run = run_from(given)
    run.advance(4)
    assert_same(parameters(run), dict(given.named_parameters()))


def test_without_a_trained_network_it_is_refused_with_its_remedy() -> None:
    with pytest.raises(ValueError, match=r'write Arm\(AdaBN\)\.after\("source only"\)'):
        TrainingRun(Composition((AdaBN(),)), recipe(), splits(), 1, 4, CPU)


def test_a_network_without_batch_norm_is_refused() -> None:
    plain: Any = nn.Conv2d(3, 3, 1)
    with pytest.raises(ValueError, match="AdaBN needs a network with batch norm, got Conv2d without; take another"):
        AdaBN().start(plain, [plain])
