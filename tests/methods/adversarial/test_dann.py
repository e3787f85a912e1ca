"""DANN against the published gradient reversal, as a function that autograd differentiates backwards."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from platform.methods import DANN
from platform.methods.adversarial.dann import CLASSIFIER, strength
from platform.methods.method import SEGMENTATION
from platform.networks import LRASPP
from platform.networks.architectures.bisenet import BiSeNet18
from platform.networks.network import feature_channels
from tests.support.parity import assert_step_gives, batches, in_float64, step_of, supervised
from tests.support.tiny_splits import assert_same, training_run


class Reversal(torch.autograd.Function):
    """R(x) = x, dR/dx = -lambda I."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * gradients[0], None


@pytest.mark.parametrize("position", [0, 1, 7, 19])
@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_gradients_equal_those_of_the_published_reversal(position: int, weight: float) -> None:
    """One loss, over a batch of both domains, that both players see, as in the authors' prototxt."""
    run = training_run(DANN(hidden=8, lambda_dann=weight), batch=4, steps=20)
    run.step = position
    expected = in_float64(run)
    source, target = batches(run)
    on_source, on_target = (expected[SEGMENTATION](batch.images, auxiliary=True) for batch in (source, target))
    # In float32, as the run has it: how exact that is, is another test's.
    reversal = float(weight * strength(torch.tensor(position / 20)))
    features = Reversal.apply(torch.cat([on_source.features, on_target.features]), reversal)
    judgement = expected[CLASSIFIER](features)
    domains = torch.cat([torch.zeros(4, 1, 4, 8), torch.ones(4, 1, 4, 8)]).double()
    loss = supervised(on_source, source) + nn.BCEWithLogitsLoss()(judgement, domains)
    torch.autograd.backward(loss, inputs=[*expected[CLASSIFIER].parameters(), *expected[SEGMENTATION].parameters()])
    for parameter in expected[SEGMENTATION].parameters():
        assert parameter.grad is not None
    assert_step_gives(run, expected)


@pytest.mark.parametrize("progress", [0.0, 0.01, 0.1, 0.5, 0.999])
def test_the_strength_rises_as_a_hyperbolic_tangent(progress: float) -> None:
    assert float(strength(torch.tensor(progress))) == pytest.approx(np.tanh(5 * progress), abs=1e-6)


def test_at_the_first_step_the_network_learns_from_the_source_alone_and_the_classifier_already_learns() -> None:
    run = training_run(DANN(hidden=4))
    assert strength(torch.tensor(0.0)) == 0
    expected = in_float64(run)
    source, _ = batches(run)
    torch.autograd.backward(supervised(expected[SEGMENTATION](source.images, auxiliary=True), source))
    assert_step_gives(run, {SEGMENTATION: expected[SEGMENTATION]})
    gradients = [parameter.grad for parameter in run._modules[CLASSIFIER].parameters()]
    assert all(gradient is not None and gradient.any() for gradient in gradients)


def test_what_the_network_minimises_is_the_opposite_of_what_the_classifier_does() -> None:
    run = training_run(DANN(hidden=4, lambda_dann=0.5), steps=20)
    run.step = 10
    step = step_of(run)
    losses = run.methods.methods[0].losses(step)
    noted = step.noted["loss/domain_classifier"]
    torch.testing.assert_close(losses[CLASSIFIER], noted)
    torch.testing.assert_close(losses[SEGMENTATION], noted * (-0.5 * float(np.tanh(2.5))))


def test_a_classifier_that_cannot_tell_loses_log_2() -> None:
    run = training_run(DANN(hidden=4))
    with torch.no_grad():
        for parameter in run._modules[CLASSIFIER].parameters():
            parameter.zero_()
    noted = run.advance(1)
    assert noted["loss/domain_classifier"] == pytest.approx(np.log(2), rel=1e-6)
    assert noted["domain_classifier/spread"] == 0


@pytest.mark.parametrize("network", [BiSeNet18(width=0.0625), LRASPP()], ids=str)
def test_the_classifier_fits_the_features_of_any_network(network: BiSeNet18 | LRASPP) -> None:
    run = training_run(DANN(hidden=5), network=network)
    first, last = (run._modules[CLASSIFIER].get_submodule(name) for name in ("0", "2"))
    assert isinstance(first, nn.Conv2d)
    assert isinstance(last, nn.Conv2d)
    assert (first.in_channels, first.out_channels, last.out_channels) == (feature_channels(run.network), 5, 1)


def test_counting_the_features_leaves_the_network_as_it_was() -> None:
    torch.manual_seed(0)
    network = BiSeNet18(width=0.0625).build()
    network.get_submodule("fusion").eval()
    before, modes = copy.deepcopy(network.state_dict()), [module.training for module in network.modules()]
    assert feature_channels(network) == 19
    assert_same(dict(network.state_dict()), dict(before))
    assert [module.training for module in network.modules()] == modes


def test_half_precision_ends_at_the_classifiers_judgement() -> None:
    run = training_run(DANN(hidden=4))
    step = step_of(run)
    with torch.autocast("cpu", torch.bfloat16):
        losses = run.methods.methods[0].losses(step)
    assert {loss.dtype for loss in losses.values() if loss is not None} == {torch.float32}
    assert len(losses) == 2


def test_published_defaults() -> None:
    assert vars(DANN()) == {"lambda_dann": 1.0, "hidden": 64, "classifier_learning_rate": 1e-4}
    optimiser = training_run(DANN())._optimisers[CLASSIFIER]
    assert isinstance(optimiser, torch.optim.Adam)
    assert optimiser.defaults["betas"] == (0.9, 0.99)
