"""Deep CORAL against the covariances and the gradient that the paper writes out."""

import numpy as np
import pytest
import torch
from torch import Tensor

from platform.methods import CORAL
from platform.methods.discrepancy.coral import coral, covariance
from platform.methods.method import SEGMENTATION
from platform.networks.network import Prediction
from tests.support.parity import assert_step_gives, batches, in_float64, step_of, supervised
from tests.support.tiny_splits import training_run


def features(seed: int, size: tuple[int, ...] = (2, 5, 3, 4), scale: float = 1.0, mean: float = 0.0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(mean, scale, size))


def rows(x: Tensor) -> np.ndarray:
    """D: a row for each place of each image, a column for each channel."""
    images, channels, height, width = x.shape
    places = [x[i, :, r, c].detach().numpy() for i in range(images) for r in range(height) for c in range(width)]
    return np.array(places, np.float64).reshape(images * height * width, channels)


def published_covariance(d: np.ndarray) -> np.ndarray:
    """C = (D'D - (1'D)'(1'D) / n) / (n - 1)."""
    n, ones = len(d), np.ones((len(d), 1))
    result: np.ndarray = (d.T @ d - (ones.T @ d).T @ (ones.T @ d) / n) / (n - 1)
    return result


def published_loss(source: np.ndarray, target: np.ndarray) -> float:
    channels, total = source.shape[1], 0.0
    difference = published_covariance(source) - published_covariance(target)
    for i in range(channels):
        for j in range(channels):
            total += difference[i, j] ** 2
    return float(total / (4 * channels**2))


def published_gradient(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """dL/dD_s = ((D_s' - (1'D_s)' 1' / n)' (C_s - C_t)) / (d^2 (n - 1))."""
    n, channels = source.shape
    ones = np.ones((n, 1))
    centred = (source.T - (ones.T @ source).T @ ones.T / n).T
    gradient: np.ndarray = centred @ (published_covariance(source) - published_covariance(target))
    gradient /= channels**2 * (n - 1)
    return gradient


@pytest.mark.parametrize("size", [(2, 5, 3, 4), (1, 19, 4, 8), (4, 3, 1, 1), (1, 1, 1, 2), (2, 16, 1, 3)])
def test_the_loss_is_that_of_the_paper(size: tuple[int, ...]) -> None:
    source, target = features(0, size, 2.0, 3.0), features(1, size, 0.5)
    assert coral(source, target).item() == pytest.approx(published_loss(rows(source), rows(target)), rel=1e-4)
    np.testing.assert_allclose(covariance(source).numpy(), published_covariance(rows(source)), rtol=1e-4, atol=1e-5)


def test_so_are_its_gradients() -> None:
    source, target = features(0, scale=2.0).requires_grad_(), features(1).requires_grad_()
    torch.autograd.backward(coral(source, target))
    for own, other in ((source, target), (target, source)):
        assert own.grad is not None
        np.testing.assert_allclose(rows(own.grad), published_gradient(rows(own), rows(other)), rtol=1e-3, atol=1e-6)


def test_equal_features_are_at_distance_0_however_they_are_ordered() -> None:
    x = features(0)
    shuffled = torch.from_numpy(np.random.default_rng(1).permutation(rows(x))).reshape(2, 3, 4, 5).movedim(3, 1)
    assert coral(x, x).item() == 0
    assert coral(x, shuffled).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("shift", [-3.0, 100.0])
def test_a_shift_of_the_mean_changes_nothing(shift: float) -> None:
    source, target = features(0), features(1, scale=2.0)
    assert coral(source + shift, target).item() == pytest.approx(coral(source, target).item(), rel=1e-4)


def test_the_loss_grows_with_the_fourth_power_of_the_features() -> None:
    source, target = features(0), features(1, scale=2.0)
    assert coral(3 * source, 3 * target).item() == pytest.approx(81 * coral(source, target).item(), rel=1e-5)


def test_features_of_one_variance_are_at_the_distance_of_their_variances() -> None:
    source = torch.tensor([-1.0, 1.0, -1.0, 1.0]).view(1, 1, 1, 4)
    assert coral(2 * source, source).item() == pytest.approx((4 * 4 / 3 - 4 / 3) ** 2 / 4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_ends_at_the_features(dtype: torch.dtype) -> None:
    """Squares of 300 overflow float16, and sums of hundreds of products round in bfloat16."""
    source, target = features(0, (2, 5, 16, 16), 300.0).to(dtype), features(1, (2, 5, 16, 16), 250.0).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        loss = coral(source, target)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(published_loss(rows(source.double()), rows(target.double())), rel=1e-4)


def test_a_step_gives_the_network_the_gradient_of_the_equation() -> None:
    run = training_run(CORAL(lambda_coral=30.0), batch=4)
    expected = in_float64(run)
    source, target = batches(run)
    network = expected[SEGMENTATION]
    on_source, on_target = (network(batch.images, auxiliary=True) for batch in (source, target))
    torch.autograd.backward(supervised(on_source, source), retain_graph=True)
    for own, other in ((on_source, on_target), (on_target, on_source)):
        gradient = 30 * published_gradient(rows(own.features), rows(other.features))
        images, channels, height, width = own.features.shape
        shaped = torch.from_numpy(gradient).reshape(images, height, width, channels).movedim(3, 1)
        torch.autograd.backward(own.features, shaped, retain_graph=True)
    assert_step_gives(run, expected)


def test_the_loss_is_noted_without_its_weight() -> None:
    run = training_run(CORAL(lambda_coral=0.25))
    step = step_of(run)
    step.passes["target"] = Prediction(step.prediction.logits, (), 2 * step.prediction.features)
    loss = run.methods.methods[0].losses(step)[SEGMENTATION]
    assert loss is not None
    torch.testing.assert_close(loss, 0.25 * step.noted["loss/coral"])
    assert loss > 0


def test_default_weight() -> None:
    assert vars(CORAL()) == {"lambda_coral": 1.0}
