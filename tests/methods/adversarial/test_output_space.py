"""The adversarial step against the published one, which runs the discriminator three times."""

import copy
import math
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from platform.methods import Adversarial, SourceOnly
from platform.methods.adversarial.judgement import Criterion, judged_as, probabilities
from platform.methods.adversarial.output_space import DISCRIMINATOR
from platform.methods.method import SEGMENTATION
from platform.methods.step import Step
from platform.methods.upsampled_loss import cross_entropy
from platform.networks.architectures.bisenet import BiSeNet
from platform.networks.discriminator import Discriminator
from platform.networks.operations.layout import layout
from platform.networks.operations.upsampling import upsample
from platform.training.run import TrainingRun
from tests.support.tiny_splits import (
    SIZE,
    assert_same,
    bisenet,
    parameters,
    running_statistics,
    state,
    step_of,
    training_run,
)


def discriminator_of(run: TrainingRun) -> Discriminator:
    module = run._modules[DISCRIMINATOR]
    assert isinstance(module, Discriminator)
    return module


def gradients(module: nn.Module) -> dict[str, Tensor]:
    found = {}
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None
        found[name] = parameter.grad
    return found


def published_step(network: BiSeNet, discriminator: Discriminator, step: Step, method: Adversarial) -> None:
    """AdaptSegNet's loop: D frozen and judging the target for S, then D judging both domains' detached predictions."""
    score = nn.MSELoss() if method.criterion == "least squares" else nn.BCEWithLogitsLoss()
    size = step.source.images.shape[-2:]
    for parameter in discriminator.parameters():
        parameter.requires_grad = False
    source = network(step.source.images, auxiliary=True)
    loss = cross_entropy(source.logits, step.source.labels)
    for logits in source.auxiliary:
        loss = loss + cross_entropy(logits, step.source.labels)
    torch.autograd.backward(loss)
    target = network(step.target.images).logits
    judgement = discriminator(upsample(target, size).softmax(1))
    torch.autograd.backward(method.lambda_adv * score(judgement, torch.zeros_like(judgement)))

    for parameter in discriminator.parameters():
        parameter.requires_grad = True
    for logits, domain in ((source.logits, 0.0), (target, 1.0)):
        judgement = discriminator(upsample(logits.detach(), size).softmax(1))
        torch.autograd.backward(score(judgement, torch.full_like(judgement, domain)) / 2)


@pytest.mark.parametrize("criterion", get_args(Criterion))
@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_gradients_equal_those_of_the_published_three_passes(
    dtype: torch.dtype, tolerance: float, separable: bool, criterion: Criterion
) -> None:
    method = Adversarial(width=8, lambda_adv=0.5, separable=separable, criterion=criterion)
    run = training_run(method, batch=4)
    network, discriminator = bisenet(run).to(dtype), discriminator_of(run).to(dtype)
    expected_network, expected_discriminator = copy.deepcopy(network), copy.deepcopy(discriminator)
    published_step(expected_network, expected_discriminator, step_of(run), method)

    run.advance(1)
    for module, expected in ((network, expected_network), (discriminator, expected_discriminator)):
        for name, gradient in gradients(expected).items():
            own = gradients(module)[name]
            assert own.dtype == dtype
            assert (own - gradient).abs().max() <= tolerance * max(1.0, float(gradient.abs().max())), name


def test_the_target_is_judged_once_per_step() -> None:
    run = training_run(Adversarial(width=4))
    judged: list[bool] = []
    discriminator_of(run).register_forward_hook(lambda module, inputs, output: judged.append(inputs[0].requires_grad))
    run.advance(3)
    assert judged == [False, True] * 3


def test_both_players_step_from_the_same_weights() -> None:
    """The discriminator's step does not see what the segmentation network does in the same step, nor the reverse."""
    slow, fast = (
        training_run(Adversarial(width=4, lambda_adv=0.1, discriminator_learning_rate=rate)) for rate in (1e-9, 0.1)
    )
    slow.advance(1)
    fast.advance(1)
    assert_same(parameters(slow), parameters(fast))

    slow, fast = (training_run(Adversarial(width=4, lambda_adv=0.1), learning_rate=rate) for rate in (1e-9, 1.0))
    slow.advance(1)
    fast.advance(1)
    assert_same(state(slow)["modules"][DISCRIMINATOR], state(fast)["modules"][DISCRIMINATOR])


def test_the_discriminator_is_untouched_by_the_segmentation_loss() -> None:
    weak, strong = (training_run(Adversarial(width=4, lambda_adv=weight)) for weight in (0.0, 1e3))
    weak.advance(1)
    strong.advance(1)
    assert_same(gradients(discriminator_of(weak)), gradients(discriminator_of(strong)))
    assert any(
        not torch.equal(left, right)
        for left, right in zip(parameters(weak).values(), parameters(strong).values(), strict=True)
    )


@pytest.mark.parametrize("criterion", get_args(Criterion))
@pytest.mark.parametrize("judgement", [-3.0, 0.0, 2.0])
def test_sides_of_the_losses(judgement: float, criterion: Criterion) -> None:
    """Source is 0 and target is 1; S wants the target judged source; D's two terms are halved."""
    run = training_run(Adversarial(width=4, criterion=criterion))
    with torch.no_grad():
        for parameter in discriminator_of(run).parameters():
            parameter.zero_()
        last = discriminator_of(run).convolutions[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        last.bias.fill_(judgement)
    losses = run.advance(1)
    sigmoid = 1 / (1 + math.exp(-judgement))
    is_source, is_target = -math.log(1 - sigmoid), -math.log(sigmoid)
    if criterion == "least squares":
        is_source, is_target = judgement**2, (judgement - 1) ** 2
    assert losses["loss/adversarial"] == pytest.approx(is_source, rel=1e-5)
    assert losses["loss/discriminator"] == pytest.approx((is_source + is_target) / 2, rel=1e-5)


def test_the_segmentation_loss_is_weighed_by_lambda() -> None:
    run = training_run(Adversarial(width=4, lambda_adv=0.3), auxiliary_weight=0.0)
    step = step_of(run)
    losses = run.methods.losses(step, run._players)
    assert losses.keys() == {SEGMENTATION, DISCRIMINATOR}
    expected = step.noted["loss/cross_entropy"] + 0.3 * step.noted["loss/adversarial"]
    torch.testing.assert_close(losses[SEGMENTATION].detach(), expected)
    torch.testing.assert_close(losses[DISCRIMINATOR].detach(), step.noted["loss/discriminator"])


@pytest.mark.parametrize("ramp", [0.0, 0.5, 0.35])
def test_the_weight_rises_over_the_ramp(ramp: float) -> None:
    run = training_run(Adversarial(width=4, lambda_adv=0.3, ramp=ramp), auxiliary_weight=0.0, steps=10)
    for position in range(10):
        step = step_of(run)
        assert step.progress == position / 10
        loss = run.methods.losses(step, run._players)[SEGMENTATION].detach()
        weight = 0.3 * (min(1.0, position / 10 / ramp) if ramp else 1.0)
        expected = step.noted["loss/cross_entropy"] + weight * step.noted["loss/adversarial"]
        torch.testing.assert_close(loss, expected)
        run.advance(1)


def test_an_unknown_criterion_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Adversarial\.criterion must be one of .*least squares.*got 'hinge'"):
        Adversarial(criterion="hinge")  # type: ignore[arg-type]


@pytest.mark.parametrize("ramp", [-0.1, 1.0])
def test_a_ramp_is_a_fraction_of_the_steps(ramp: float) -> None:
    with pytest.raises(ValueError, match=r"Adversarial\.ramp must be at least 0\.0 and below 1\.0"):
        Adversarial(ramp=ramp)


def test_the_spread_is_that_of_all_judgements_of_both_domains() -> None:
    run = training_run(Adversarial(width=4), batch=4)
    judgements: list[Tensor] = []
    hook = discriminator_of(run).register_forward_hook(lambda module, inputs, output: judgements.append(output))
    spread = run.advance(1)["discriminator/spread"]
    hook.remove()
    assert len(judgements) == 2
    values = np.concatenate([judgement.detach().numpy().ravel() for judgement in judgements])
    assert values.size == 8 * 2
    assert spread == pytest.approx(values.std(), rel=1e-5)


def test_judged_as_is_the_mean_over_all_patches() -> None:
    logits = torch.tensor([[[[0.5, -1.0]]], [[[2.0, 0.0]]]], dtype=torch.float64)
    p = 1 / (1 + np.exp(-logits.numpy()))
    assert judged_as(logits, 0.0).item() == pytest.approx(-np.log(1 - p).mean())
    assert judged_as(logits, 1.0).item() == pytest.approx(-np.log(p).mean())


def test_probabilities_are_those_of_the_upsampled_logits() -> None:
    logits = torch.randn(2, 19, 4, 8, generator=torch.Generator().manual_seed(0))
    p = probabilities(logits, torch.Size(SIZE))
    assert p.shape == (2, 19, *SIZE)
    torch.testing.assert_close(p.sum(1), torch.ones(2, *SIZE))
    exponentials = functional.interpolate(logits, size=SIZE, mode="bilinear").exp()
    torch.testing.assert_close(p, exponentials / exponentials.sum(1, keepdim=True))


@pytest.mark.parametrize("small", [(4, 8), (5, 7)])
def test_probabilities_of_bfloat16_logits_and_their_gradient_are_rounded_and_no_more(small: tuple[int, int]) -> None:
    """Half a last place is 2^-8: of a probability, and of each of the numbers of which a gradient is made."""
    random = torch.Generator().manual_seed(0)
    logits = (4 * torch.randn(2, 19, *small, generator=random)).bfloat16().requires_grad_()
    slope = torch.randn(2, 19, *SIZE, generator=random).bfloat16()
    exact = logits.detach().double().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        p = probabilities(logits, torch.Size(SIZE))
    expected = functional.interpolate(exact, size=SIZE, mode="bilinear").softmax(1)
    (found,) = torch.autograd.grad(p, logits, slope)
    (wanted,) = torch.autograd.grad(expected, exact, slope.double())
    assert p.dtype == found.dtype == torch.bfloat16
    assert p.is_contiguous(memory_format=layout(p.device))
    torch.testing.assert_close(p.double(), expected, atol=1e-6, rtol=1.01 * 2**-8)
    assert (found.double() - wanted).abs().max() <= 4 * 2**-8 * wanted.abs().max()
    assert (found.double() - wanted).square().mean() <= (2 * 2**-8) ** 2 * wanted.square().mean()


def test_probabilities_of_float16_logits_keep_the_gradients_of_improbable_classes() -> None:
    logits = torch.zeros(1, 19, 4, 8).half()
    logits[:, 0] = 12
    logits.requires_grad_()
    p = probabilities(logits, torch.Size(SIZE))
    slope = torch.full_like(p, 0)
    slope[:, 1] = 1e-2
    (gradient,) = torch.autograd.grad(p, logits, slope)
    assert p.dtype == torch.float32
    assert gradient[:, 1].ne(0).all()


def test_the_discriminator_is_as_its_fields_say() -> None:
    run = training_run(Adversarial(width=6, separable=True, discriminator_learning_rate=3e-4), steps=10)
    expected = sum(parameter.numel() for parameter in Discriminator(width=6, separable=True).parameters())
    assert sum(parameter.numel() for parameter in discriminator_of(run).parameters()) == expected
    optimiser = run._optimisers[DISCRIMINATOR]
    assert isinstance(optimiser, torch.optim.Adam)
    assert optimiser.defaults["betas"] == (0.9, 0.99)
    for step in range(4):
        run.advance(1)
        assert optimiser.param_groups[0]["lr"] == pytest.approx(3e-4 * (1 - step / 10) ** 0.9)


@pytest.mark.parametrize("batch_norm", ["mixed", "source", "frozen"])
def test_without_weight_the_network_learns_what_it_learns_from_the_source_alone(batch_norm: str) -> None:
    """Only the running statistics tell that it has seen the target, and only if they are mixed."""
    adversarial = training_run(Adversarial(width=4, lambda_adv=0.0), batch_norm=batch_norm)
    alone = training_run(SourceOnly(), batch_norm=batch_norm)
    assert adversarial.advance(4)["loss/cross_entropy"] == alone.advance(4)["loss/cross_entropy"]
    assert_same(parameters(adversarial), parameters(alone))
    statistics = [running_statistics(adversarial), running_statistics(alone)]
    if batch_norm == "mixed":
        assert not torch.equal(*(values["context_path.bn1.running_mean"] for values in statistics))
    else:
        assert_same(*statistics)


def test_published_defaults() -> None:
    assert vars(Adversarial()) == {
        "lambda_adv": 1e-3,
        "width": 64,
        "separable": False,
        "criterion": "cross-entropy",
        "discriminator_learning_rate": 1e-4,
        "ramp": 0.0,
    }
