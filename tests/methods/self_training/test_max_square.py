"""Maximum squares against the published loss, computed pixel by pixel."""

import numpy as np
import pytest
import torch
from scipy.special import softmax

from platform.methods import FDA, MaxSquare, SourceOnly
from platform.methods.composition import Composition
from platform.methods.method import SEGMENTATION
from platform.methods.self_training.max_square import balance, max_square
from platform.networks.network import Prediction
from tests.support.parity import assert_step_gives, batches, enlarged, in_float64, step_of, supervised
from tests.support.tiny_splits import training_run

RANDOM = np.random.default_rng(0)


def by_pixels(logits: np.ndarray, class_balance: float) -> float:
    """The loss of the published code, by its sentences: a histogram of each image, one weight a pixel."""
    number, classes, height, width = logits.shape
    whole = 0.0
    for image in logits:
        predicted = [int(np.argmax(image[:, y, x])) for y in range(height) for x in range(width)]
        pixels = [image[:, y, x] for y in range(height) for x in range(width)]
        for pixel, c in zip(pixels, predicted, strict=True):
            weight = 1 / (predicted.count(c) ** class_balance * len(predicted) ** (1 - class_balance))
            whole += weight * sum(p**2 for p in softmax(pixel))
    return float(-whole / (number * classes))


@pytest.mark.parametrize("class_balance", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("scale", [0.01, 1.0, 50.0])
@pytest.mark.parametrize("shape", [(2, 19, 5, 7), (1, 2, 3, 4), (3, 4, 1, 1)])
def test_it_is_the_published_loss(shape: tuple[int, ...], scale: float, class_balance: float) -> None:
    logits = RANDOM.normal(0, scale, shape)
    found = max_square(torch.from_numpy(logits), class_balance)
    assert found.item() == pytest.approx(by_pixels(logits, class_balance), rel=1e-9)


def test_without_balance_it_is_twice_the_published_plain_loss() -> None:
    """Which is half the mean square over pixels and classes."""
    p = softmax(logits := RANDOM.normal(0, 2, (2, 19, 4, 6)), axis=1)
    assert max_square(torch.from_numpy(logits), 0.0).item() == pytest.approx(2 * -(p**2).mean() / 2, rel=1e-9)


def test_weights_of_three_pixels_of_one_class_and_one_of_another() -> None:
    logits = torch.zeros(1, 3, 2, 2, dtype=torch.float64)
    logits[0, 1], logits[0, 2, 1, 1] = 1, 5
    expected = {c: 1 / (count**0.2 * 4**0.8) for c, count in ((1, 3), (2, 1))}
    torch.testing.assert_close(
        balance(logits, 0.2), torch.tensor([[[expected[1], expected[1]], [expected[1], expected[2]]]]).double()
    )
    assert set(balance(logits, 0.0).flatten().tolist()) == {0.25}
    assert balance(logits, 1.0).sum().item() == pytest.approx(2)  # one for each class that is there


def test_classes_are_counted_in_each_image_by_itself() -> None:
    logits = torch.zeros(2, 2, 1, 4)
    logits[0, 0], logits[1, 1, 0, 0], logits[1, 0, 0, 1:] = 1, 1, 1
    assert balance(logits, 1.0).flatten(1).tolist() == [pytest.approx([1 / 4] * 4), pytest.approx([1, *[1 / 3] * 3])]


def test_an_image_of_one_class_weighs_as_without_balance() -> None:
    logits = torch.zeros(1, 19, 3, 3)
    logits[:, 4] = 2
    assert max_square(logits, 0.7).item() == pytest.approx(max_square(logits, 0.0).item(), rel=1e-6)


def test_bounds_and_finite_gradients_of_the_most_certain_and_the_least() -> None:
    certain = torch.zeros(1, 19, 2, 2)
    certain[:, 3] = 1e4
    for logits, expected in ((certain, -1 / 19), (torch.full((1, 19, 2, 2), 7.0), -1 / 19**2)):
        logits.requires_grad_()
        loss = max_square(logits, 0.0)
        torch.autograd.backward(loss)
        assert loss.item() == pytest.approx(expected, rel=1e-6)
        assert logits.grad is not None
        assert logits.grad.isfinite().all()


def test_the_weights_of_pixels_take_no_gradient() -> None:
    """The gradient is that of squares whose weights are constants."""
    logits = torch.from_numpy(RANDOM.normal(0, 1, (2, 5, 3, 4))).requires_grad_()
    torch.autograd.backward(max_square(logits, 0.2))
    p = softmax(logits.detach().numpy(), axis=1)
    weights = balance(logits.detach(), 0.2).numpy()[:, None]
    expected = -weights / (2 * 5) * 2 * p * (p - (p**2).sum(axis=1, keepdims=True))
    assert logits.grad is not None
    np.testing.assert_allclose(logits.grad.numpy(), expected, atol=1e-12)


def test_gradients_of_a_step_equal_those_of_the_equation() -> None:
    run = training_run(MaxSquare(lambda_max_square=0.5, class_balance=0.0), batch=4)
    expected = in_float64(run)
    source, target = batches(run)
    network = expected[SEGMENTATION]
    loss = supervised(network(source.images, auxiliary=True), source)
    p = enlarged(network(target.images, auxiliary=True).logits, target.images).softmax(1)
    torch.autograd.backward(loss - 0.5 * (p**2).mean())
    assert_step_gives(run, expected)


def test_half_precision_ends_before_the_logits_are_upsampled() -> None:
    run = training_run(MaxSquare(lambda_max_square=1.0))
    step = step_of(run)
    logits = torch.randn(2, 19, 4, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    step.passes["target"] = Prediction(logits, (), logits)
    with torch.autocast("cpu", torch.bfloat16):
        loss = run.methods.methods[0].losses(step)[SEGMENTATION]
    assert loss is not None
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(by_pixels(enlarged(logits.double(), step.target.images).numpy(), 0.2), rel=1e-6)


def test_beside_fda_it_sees_the_same_pass_of_the_target() -> None:
    """FDA changes the source alone."""
    alone, beside = training_run(MaxSquare()), training_run(Composition((FDA(beta=0.1), MaxSquare())))
    assert alone.advance(1)["loss/max_square"] == beside.advance(1)["loss/max_square"]


def test_it_begins_from_a_source_model_where_it_comes_after_one() -> None:
    run, network = training_run(MaxSquare()), training_run(SourceOnly(), seed=5).network
    run.methods.start(run.network, [network])
    for mine, given in zip(run.network.parameters(), network.parameters(), strict=True):
        assert torch.equal(mine, given)


def test_published_defaults() -> None:
    assert vars(MaxSquare()) == {"lambda_max_square": 0.1, "class_balance": 0.2}
