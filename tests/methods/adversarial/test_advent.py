"""AdvEnt against the authors' loop, which judges three times, and its self-information against the paper's equation."""

import math
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from platform.methods import AdvEnt, Labelled, Unlabelled
from platform.methods.adversarial.advent import DISCRIMINATOR, self_information
from platform.methods.adversarial.judgement import Criterion, judged_as, probabilities
from platform.methods.method import SEGMENTATION
from platform.networks.discriminator import Discriminator
from platform.networks.operations.upsampling import single_precision
from tests.support.parity import assert_step_gives, batches, enlarged, in_float64, step_of, supervised
from tests.support.tiny_splits import training_run

CRITERIA: tuple[Criterion, ...] = get_args(Criterion)
both_criteria = pytest.mark.parametrize("criterion", CRITERIA)


def published_information(logits: Tensor, images: Tensor) -> Tensor:
    p = enlarged(logits, images).softmax(1)
    return -p * torch.log2(p + 1e-30) / math.log2(p.shape[1])


def scored(judgement: Tensor, domain: float, criterion: Criterion) -> Tensor:
    if criterion == "least squares":
        return ((judgement - domain) ** 2).mean()
    return -(judgement.sigmoid() if domain else 1 - judgement.sigmoid()).log().mean()


def published_step(
    network: nn.Module, discriminator: nn.Module, source: Labelled, target: Unlabelled, method: AdvEnt
) -> None:
    """ADVENT's loop: D frozen and judging the target for S, then D judging both domains' detached predictions."""
    for parameter in discriminator.parameters():
        parameter.requires_grad = False
    on_source = network(source.images, auxiliary=True)
    torch.autograd.backward(supervised(on_source, source))
    on_target = network(target.images)
    judgement = discriminator(published_information(on_target.logits, target.images))
    torch.autograd.backward(method.lambda_adv * scored(judgement, 0.0, method.criterion))

    for parameter in discriminator.parameters():
        parameter.requires_grad = True
    for prediction, domain in ((on_source, 0.0), (on_target, 1.0)):
        judgement = discriminator(published_information(prediction.logits.detach(), target.images))
        torch.autograd.backward(scored(judgement, domain, method.criterion) / 2)


@both_criteria
def test_gradients_equal_those_of_the_published_three_passes(criterion: Criterion) -> None:
    method = AdvEnt(width=8, lambda_adv=0.5, criterion=criterion)
    run = training_run(method, batch=4)
    expected = in_float64(run)
    published_step(expected[SEGMENTATION], expected[DISCRIMINATOR], *batches(run), method)
    assert_step_gives(run, expected)


@pytest.mark.parametrize("scale", [0.01, 1.0, 50.0])
def test_self_information_is_that_of_the_paper(scale: float) -> None:
    logits = np.random.default_rng(0).normal(0, scale, (2, 19, 3, 4))
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    expected = np.zeros_like(p)
    for place in np.ndindex(p.shape):
        expected[place] = -p[place] * math.log(p[place]) / math.log(19) if p[place] > 1e-300 else 0.0
    np.testing.assert_allclose(self_information(torch.from_numpy(p)).numpy(), expected, atol=1e-15)
    np.testing.assert_allclose(self_information(torch.from_numpy(p).float()).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 19])
def test_it_adds_up_to_1_for_a_uniform_prediction_and_to_0_for_a_certain_one(classes: int) -> None:
    uniform = torch.full((1, classes, 1, 1), 1 / classes)
    certain = torch.zeros(1, classes, 1, 1)
    certain[:, 1] = 1.0
    certain.requires_grad_()
    information = self_information(certain).sum()
    torch.autograd.backward(information)
    assert self_information(uniform).sum().item() == pytest.approx(1, rel=1e-6)
    assert information.item() == 0
    assert certain.grad is not None
    assert certain.grad.isfinite().all()


def test_half_precision_ends_before_the_softmax() -> None:
    """A probability of 0.9999 is 1 in bfloat16, and has no information there."""
    logits = torch.tensor([9.0, 0.0, -3.0]).view(1, 3, 1, 1).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        information = self_information(probabilities(single_precision(logits), torch.Size((2, 2))))
    exponentials = np.exp([9.0, 0.0, -3.0])
    p = exponentials / exponentials.sum()
    assert information.dtype == torch.float32
    np.testing.assert_allclose(information[0, :, 0, 0].numpy(), -p * np.log(p) / np.log(3), rtol=1e-3)


@both_criteria
@pytest.mark.parametrize("domain", [0.0, 1.0])
def test_a_judgement_is_scored_by_the_mean_over_its_patches(criterion: Criterion, domain: float) -> None:
    judgement = torch.tensor([[[[0.5, -1.0]]], [[[2.0, 0.0]]]], dtype=torch.float64)
    torch.testing.assert_close(judged_as(judgement, domain, criterion), scored(judgement, domain, criterion))


@both_criteria
def test_a_judgement_in_half_precision_is_scored_in_float32(criterion: Criterion) -> None:
    judgement = torch.tensor([0.5, -1.0, 2.0, 300.0]).view(1, 1, 2, 2).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        loss = judged_as(judgement, 0.0, criterion)
    assert loss.dtype == torch.float32
    values = judgement.double().numpy()
    expected = (values**2).mean() if criterion == "least squares" else np.log1p(np.exp(values)).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@both_criteria
def test_the_network_minimises_the_weight_times_the_fooling(criterion: Criterion) -> None:
    run = training_run(AdvEnt(width=4, lambda_adv=0.3, criterion=criterion))
    step = step_of(run)
    losses = run.methods.methods[0].losses(step)
    assert losses.keys() == {SEGMENTATION, DISCRIMINATOR}
    torch.testing.assert_close(losses[SEGMENTATION], 0.3 * step.noted["loss/adversarial"])
    torch.testing.assert_close(losses[DISCRIMINATOR], step.noted["loss/discriminator"])


def test_the_target_is_judged_once_per_step() -> None:
    run = training_run(AdvEnt(width=4))
    judged: list[bool] = []
    run._modules[DISCRIMINATOR].register_forward_hook(lambda _, inputs, __: judged.append(inputs[0].requires_grad))
    run.advance(3)
    assert judged == [False, True] * 3


def test_the_discriminator_is_adaptsegnets() -> None:
    run = training_run(AdvEnt(width=6, discriminator_learning_rate=3e-4))
    module, optimiser = run._modules[DISCRIMINATOR], run._optimisers[DISCRIMINATOR]
    assert isinstance(module, Discriminator)
    assert isinstance(module.convolutions[0], nn.Conv2d)
    assert module.convolutions[0].out_channels == 6
    assert isinstance(optimiser, torch.optim.Adam)
    assert optimiser.defaults["betas"] == (0.9, 0.99)
    assert optimiser.param_groups[0]["initial_lr"] == 3e-4


def test_an_unknown_criterion_is_refused() -> None:
    with pytest.raises(ValueError, match=r"AdvEnt\.criterion must be one of .*cross-entropy.*got 'hinge'"):
        AdvEnt(criterion="hinge")  # type: ignore[arg-type]


def test_published_defaults() -> None:
    assert vars(AdvEnt()) == {
        "lambda_adv": 1e-3,
        "width": 64,
        "criterion": "cross-entropy",
        "discriminator_learning_rate": 1e-4,
    }


def test_probabilities_of_float64_stay_in_float64() -> None:
    logits = torch.randn(1, 19, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    p = probabilities(logits, torch.Size((4, 4)))
    torch.testing.assert_close(
        p, functional.interpolate(logits, (4, 4), mode="bilinear").softmax(1), rtol=1e-14, atol=0
    )
