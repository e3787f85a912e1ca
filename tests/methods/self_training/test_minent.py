"""MinEnt against the entropy of the paper, computed pixel by pixel."""

import math

import numpy as np
import pytest
import torch

from platform.methods import MinEnt
from platform.methods.method import SEGMENTATION
from platform.methods.self_training.minent import entropy
from platform.networks.network import Prediction
from tests.support.parity import assert_step_gives, batches, enlarged, in_float64, step_of, supervised
from tests.support.tiny_splits import training_run


@pytest.mark.parametrize("scale", [0.01, 1.0, 50.0])
@pytest.mark.parametrize("classes", [2, 19])
def test_entropy_is_that_of_the_paper(scale: float, classes: int) -> None:
    logits = np.random.default_rng(0).normal(0, scale, (2, classes, 3, 4))
    expected = np.empty((2, 3, 4))
    for image, row, column in np.ndindex(expected.shape):
        pixel = logits[image, :, row, column]
        p = np.exp(pixel - pixel.max())
        p /= p.sum()
        expected[image, row, column] = -sum(x * math.log(x) for x in p if x > 0) / math.log(classes)
    np.testing.assert_allclose(entropy(torch.from_numpy(logits)).numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(entropy(torch.from_numpy(logits).float()).numpy(), expected, atol=1e-5)


def test_it_is_1_for_a_uniform_prediction_and_0_for_a_certain_one() -> None:
    assert entropy(torch.full((1, 19, 1, 1), 7.0)).item() == pytest.approx(1, rel=1e-6)
    certain = torch.zeros(1, 19, 1, 1)
    certain[:, 3] = 1e4
    certain.requires_grad_()
    torch.autograd.backward(entropy(certain).sum())
    assert entropy(certain).item() == 0
    assert certain.grad is not None
    assert certain.grad.isfinite().all()


def test_gradients_equal_those_of_the_authors_entropy_loss() -> None:
    run = training_run(MinEnt(lambda_ent=0.5), batch=4)
    expected = in_float64(run)
    source, target = batches(run)
    network = expected[SEGMENTATION]
    loss = supervised(network(source.images, auxiliary=True), source)
    v = enlarged(network(target.images, auxiliary=True).logits, target.images).softmax(1)
    n, c, h, w = v.shape
    loss = loss - 0.5 * (v * torch.log2(v + 1e-30)).sum() / (n * h * w * np.log2(c))
    torch.autograd.backward(loss)
    assert_step_gives(run, expected)


def test_half_precision_ends_before_the_logits_are_upsampled() -> None:
    run = training_run(MinEnt(lambda_ent=1.0))
    step = step_of(run)
    logits = torch.randn(2, 19, 4, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    step.passes["target"] = Prediction(logits, (), logits)
    with torch.autocast("cpu", torch.bfloat16):
        loss = run.methods.methods[0].losses(step)[SEGMENTATION]
    assert loss is not None
    p = enlarged(logits.double(), step.target.images).softmax(1).numpy()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(-(p * np.log(p)).sum(1).mean() / np.log(19), rel=1e-6)


def test_published_defaults() -> None:
    assert vars(MinEnt()) == {"lambda_ent": 1e-3}
