"""BatchNormMoments against moments and a gradient that are worked out layer by layer in NumPy."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from platform.methods import FDA, MMD, BatchNormMoments, Method
from platform.methods.composition import Composition
from platform.methods.discrepancy.batch_norm_moments import moments, variances_and_means
from platform.methods.method import SEGMENTATION
from platform.networks import LRASPP
from platform.networks.modes import NORMS, norms_of
from platform.networks.network import Architecture, Network, Prediction
from tests.support.parity import assert_step_gives, batches, in_float64, step_of, supervised
from tests.support.tiny_splits import parameters, running_statistics, training_run


def what_is_compared(network: nn.Module, images: Tensor) -> tuple[Prediction, list[Tensor]]:
    """A pass, and what entered each layer of batch norm in it, and the final classifier."""
    entered: list[Tensor] = []

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        entered.append(inputs[0])

    hooks = [layer.register_forward_hook(keep) for layer in network.modules() if isinstance(layer, NORMS)]
    prediction: Prediction = network(images, auxiliary=True)
    for hook in hooks:
        hook.remove()
    return prediction, [*entered, prediction.features]


def by_channel(x: Tensor) -> np.ndarray:
    """A row for each channel."""
    values: np.ndarray = x.detach().double().numpy()
    return values.swapaxes(0, 1).reshape(values.shape[1], -1)


def mean_and_deviation(x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    rows = by_channel(x)
    mean = np.array([row.sum() / row.size for row in rows])
    squares = [((row - m) ** 2).sum() / row.size for row, m in zip(rows, mean, strict=True)]
    return mean, np.sqrt(np.array(squares) + 1e-5)


def expected_distance(source: list[Tensor], target: list[Tensor]) -> float:
    total, channels = 0.0, 0
    for s, t in zip(source, target, strict=True):
        (mean, deviation), (other_mean, other_deviation) = mean_and_deviation(s), mean_and_deviation(t)
        total += float(((mean - other_mean) ** 2).sum() + ((deviation - other_deviation) ** 2).sum())
        channels += len(mean)
    return total / channels


def gradient_at(source: Tensor, target: Tensor, channels: int) -> Tensor:
    """Of the distance with respect to a target's input x: 2 (dmu / N + dsigma (x - mu) / (N sigma)) / C."""
    (mean, deviation), (other_mean, other_deviation) = mean_and_deviation(target), mean_and_deviation(source)
    rows = by_channel(target)
    pulled = (mean - other_mean)[:, None] + ((deviation - other_deviation) / deviation)[:, None] * (
        rows - mean[:, None]
    )
    gradient = 2 * pulled / (rows.shape[1] * channels)
    images, _, *sides = target.shape
    return torch.from_numpy(gradient.reshape(target.shape[1], images, *sides).swapaxes(0, 1).copy())


@pytest.mark.parametrize("augmentation", ["none", "flip and crop"])
def test_a_step_gives_the_network_the_gradient_of_the_equation(augmentation: str) -> None:
    run = training_run(BatchNormMoments(lambda_moments=3.0), batch=4, augmentation=augmentation)
    expected = in_float64(run)
    source, target = batches(run)
    prediction, of_source = what_is_compared(expected[SEGMENTATION], source.images)
    torch.autograd.backward(supervised(prediction, source), retain_graph=True)
    _, of_target = what_is_compared(expected[SEGMENTATION], target.images)
    channels = sum(x.shape[1] for x in of_target)
    gradients = [3.0 * gradient_at(s, t, channels) for s, t in zip(of_source, of_target, strict=True)]
    torch.autograd.backward(of_target, gradients)
    assert_step_gives(run, expected)


@pytest.mark.parametrize("batch_norm", ["mixed", "source", "frozen"])
def test_the_distance_is_that_of_both_passes(batch_norm: str) -> None:
    run = training_run(BatchNormMoments(lambda_moments=0.25), batch=4, batch_norm=batch_norm)
    run.advance(1)
    network, (source, target) = in_float64(run)[SEGMENTATION], batches(run)
    network.train(batch_norm != "frozen")
    of_source, of_target = (what_is_compared(network, batch.images)[1] for batch in (source, target))
    step = step_of(run)
    loss = run.methods.methods[0].losses(step)[SEGMENTATION]
    assert loss is not None
    assert step.noted["loss/moments"].item() == pytest.approx(expected_distance(of_source, of_target), rel=1e-9)
    torch.testing.assert_close(loss, 0.25 * step.noted["loss/moments"])


@pytest.mark.parametrize("size", [(2, 3, 4, 5), (1, 2, 1, 1), (4, 3, 1, 1), (3, 2), (2, 3, 2, 2, 2)])
def test_moments_are_over_images_and_places(size: tuple[int, ...]) -> None:
    x = torch.from_numpy(np.random.default_rng(0).normal(3.0, 2.0, size))
    variances, means = variances_and_means(x)
    mean, deviation = mean_and_deviation(x)
    np.testing.assert_allclose(means.numpy(), mean, rtol=1e-12)
    np.testing.assert_allclose(np.sqrt(variances.numpy() + 1e-5), deviation, rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_ends_before_the_moments(dtype: torch.dtype) -> None:
    """Squares of 300 overflow float16, and sums of hundreds round in bfloat16."""
    x = torch.from_numpy(np.random.default_rng(0).normal(300.0, 5.0, (2, 3, 16, 16))).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        variances, means = variances_and_means(x)
    assert variances.dtype == means.dtype == torch.float32
    mean, deviation = mean_and_deviation(x)
    np.testing.assert_allclose(means.numpy(), mean, rtol=1e-5)
    np.testing.assert_allclose(variances.numpy(), deviation**2, rtol=1e-4)


def test_batches_of_one_domain_are_at_no_distance() -> None:
    run = training_run(BatchNormMoments(), batch=4)
    step = step_of(run)
    batches_of_source = {**step.batches, "target": replace(step.target, images=step.source.images)}
    assert run.methods.methods[0].losses(replace(step, batches=batches_of_source))[SEGMENTATION] == 0


def test_the_source_is_a_constant() -> None:
    run = training_run(BatchNormMoments())
    step = step_of(run)
    norms = [*norms_of(run.network).values()]
    with torch.no_grad():
        assert not moments(step, norms, step.source.images, "source").requires_grad
    assert moments(step, norms, step.target.images, "target").requires_grad


@pytest.mark.parametrize("batch_norm", ["mixed", "source", "frozen"])
def test_statistics_count_each_batch_once(batch_norm: str) -> None:
    """As those of a method that looks at the features of the passes that all share."""
    own, shared = (
        training_run(method, batch_norm=batch_norm)
        for method in (BatchNormMoments(lambda_moments=0.0), MMD(lambda_mmd=0.0))
    )
    for run in (own, shared):
        # A pass that no gradient goes through may have another kernel, and so other last bits.
        in_float64(run)
        run.advance(3)
    for of in (running_statistics, parameters):
        torch.testing.assert_close(of(own), of(shared), rtol=1e-9, atol=1e-12)


def after_a_step(*methods: Method) -> dict[str, Tensor]:
    run = training_run(Composition(methods), batch=4)
    in_float64(run)
    run.advance(1)
    return parameters(run)


@pytest.mark.parametrize("other", [MMD(), FDA(beta=0.1)], ids=str)
def test_the_order_of_methods_does_not_matter(other: Method) -> None:
    first, last = after_a_step(BatchNormMoments(), other), after_a_step(other, BatchNormMoments())
    for name, value in first.items():
        torch.testing.assert_close(value, last[name], rtol=1e-9, atol=1e-12)


def test_other_norms_of_a_pass_are_seen_too() -> None:
    losses = training_run(BatchNormMoments(), network=LRASPP()).advance(1)
    assert losses["loss/moments"] > 0


def hooks_of(network: nn.Module) -> int:
    return sum(len(module._forward_pre_hooks) for module in network.modules())


def test_nothing_stays_in_the_network() -> None:
    run = training_run(BatchNormMoments())
    before = hooks_of(run.network)
    run.advance(2)
    assert hooks_of(run.network) == before


def test_nothing_stays_in_the_network_after_a_pass_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    run = training_run(BatchNormMoments())
    before, step = hooks_of(run.network), step_of(run)

    def failing(*images: object, **others: object) -> Prediction:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(run.network, "forward", failing)
    with pytest.raises(RuntimeError, match="out of memory"):
        moments(step, [*norms_of(run.network).values()], step.target.images, "target")
    assert hooks_of(run.network) == before


def test_one_image_has_finite_gradients_where_a_layer_sees_one_place() -> None:
    """The attention of a BiSeNet normalises maps of one pixel."""
    run = training_run(BatchNormMoments(), batch_norm="frozen")
    run.parts = 2
    assert math.isfinite(run.advance(1)["loss/moments"])
    assert all(parameter.isfinite().all() for parameter in parameters(run).values())


class Plain(Network):
    """A network without batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 19, 8, stride=8)

    def forward(self, images: Tensor, domain: Any = "target", auxiliary: bool = False) -> Prediction:
        logits = self.convolution(images / 255)
        return Prediction(logits, (), logits)


@dataclass(frozen=True, kw_only=True)
class PlainNetwork(Architecture):
    """Its description."""

    def build(self) -> Network:
        return Plain()


def test_a_network_without_batch_norm_is_refused() -> None:
    run = training_run(BatchNormMoments(), network=PlainNetwork())
    with pytest.raises(ValueError, match="needs a network with batch norm, got Plain without; take another method"):
        run.advance(1)


def test_default_weight() -> None:
    assert vars(BatchNormMoments()) == {"lambda_moments": 10.0}
