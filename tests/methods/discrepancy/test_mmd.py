"""MMD against the paper's expectations, pair by pair, and the gradient that they have."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from platform.methods import FDA, MMD
from platform.methods.composition import Composition
from platform.methods.discrepancy.mmd import drawn, kernel, mmd, squared_distances
from platform.methods.method import SEGMENTATION
from platform.networks.network import Prediction
from platform.training import run as training
from platform.training.steps.graph import WARM_UP
from tests.support.parity import assert_step_gives, batches, in_float64, step_of, supervised
from tests.support.recorded import Emulated
from tests.support.tiny_splits import assert_same, state, training_run

TINY = 128
"""Places of the features of four small images."""


def samples(seed: int, number: int = 6, channels: int = 5, mean: float = 0.0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(mean, 1.0, (number, channels)))


def discrepancy(source: Tensor, target: Tensor) -> Tensor:
    """That of the code, whose samples stand side by side."""
    return mmd(source.mT, target.mT)


def mean_distance(x: np.ndarray) -> float:
    """Over the ordered pairs of different samples, as the authors' code divides."""
    return float(sum(((a - b) ** 2).sum() for a in x for b in x) / (len(x) ** 2 - len(x)))


def k(a: np.ndarray, b: np.ndarray, bandwidth: float) -> float:
    distance = float(((a - b) ** 2).sum())
    return sum(math.exp(-distance / (bandwidth * width)) for width in (0.25, 0.5, 1.0, 2.0, 4.0))


def expected_mmd(s: np.ndarray, t: np.ndarray, bandwidth: float | None = None) -> float:
    bandwidth = bandwidth or mean_distance(np.concatenate([s, t]))
    n = len(s)
    others = [(i, j) for i in range(n) for j in range(n) if i != j]
    of_source = np.mean([k(s[i], s[j], bandwidth) for i, j in others])
    of_target = np.mean([k(t[i], t[j], bandwidth) for i, j in others])
    between = np.mean([k(a, b, bandwidth) for a in s for b in t])
    return float(of_source + of_target - 2 * between)


def expected_gradients(s: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """dk/da = -2 (a - b) sum_i exp(-d / h_i) / h_i of every pair, b held as it is."""
    n, x = len(s), np.concatenate([s, t])
    differences = x[:, None] - x[None]
    distances = (differences**2).sum(2)
    widths = mean_distance(x) * np.array([0.25, 0.5, 1.0, 2.0, 4.0])
    slopes = sum(-np.exp(-distances / width) / width for width in widths)
    weights = np.full((2 * n, 2 * n), -1.0 / n**2)
    weights[:n, :n] = weights[n:, n:] = 1 / (n * (n - 1))
    np.fill_diagonal(weights, 0.0)
    # Each pair stands in the sums twice, in either order.
    gradient = 2 * ((weights * slopes)[..., None] * 2 * differences).sum(1)
    return gradient[:n], gradient[n:]


def places(features: Tensor) -> np.ndarray:
    """A row for each place, image by image and row by row."""
    images, channels, height, width = features.shape
    every = [features[i, :, r, c].detach().numpy() for i in range(images) for r in range(height) for c in range(width)]
    return np.array(every).reshape(-1, channels)


@pytest.mark.parametrize(("number", "channels"), [(6, 5), (2, 1), (3, 19), (12, 2)])
@pytest.mark.parametrize("mean", [0.0, 0.5, 40.0])
def test_the_discrepancy_is_that_of_all_pairs(number: int, channels: int, mean: float) -> None:
    source, target = samples(0, number, channels), samples(1, number, channels, mean)
    assert discrepancy(source, target).item() == pytest.approx(
        expected_mmd(source.numpy(), target.numpy()), rel=1e-9, abs=1e-9
    )


def test_a_discrepancy_worked_out_by_hand() -> None:
    """Both domains hold 0 and 1: of the six pairs four are 1 apart, b = 2/3, and the estimate is below 0."""
    both = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    apart = sum(math.exp(-1.5 / width) for width in (0.25, 0.5, 1, 2, 4))
    assert discrepancy(both, both).item() == pytest.approx(apart - 5)


def test_it_has_no_bias() -> None:
    """Of two samples of one distribution the mean is 0; with the pairs of a sample with itself it would be 5 / 4."""
    random = torch.Generator().manual_seed(0)
    found = [discrepancy(*torch.randn(2, 8, 3, dtype=torch.float64, generator=random)) for _ in range(400)]
    values = torch.stack(found)
    assert values.mean().abs() < 3 * values.std() / 20
    assert (values < 0).any()


def test_its_gradient_is_that_of_every_pair() -> None:
    source, target = samples(0).requires_grad_(), samples(1, mean=1.0).requires_grad_()
    torch.autograd.backward(discrepancy(source, target))
    gradients = expected_gradients(source.detach().numpy(), target.detach().numpy())
    for own, expected in zip((source, target), gradients, strict=True):
        assert own.grad is not None
        np.testing.assert_allclose(own.grad.numpy(), expected, rtol=1e-9, atol=1e-12)


def test_no_gradient_flows_through_the_bandwidth() -> None:
    """Against differences of the loss with the bandwidth as it was."""
    source, target = samples(0).requires_grad_(), samples(1, mean=1.0)
    torch.autograd.backward(discrepancy(source, target))
    assert source.grad is not None
    s, t = source.detach().numpy(), target.numpy()
    bandwidth, step = mean_distance(np.concatenate([s, t])), np.zeros_like(s)
    step[2, 3] = 1e-5
    slope = (expected_mmd(s + step, t, bandwidth) - expected_mmd(s - step, t, bandwidth)) / 2e-5
    assert source.grad[2, 3].item() == pytest.approx(slope, rel=1e-5)


def test_neither_the_scale_nor_a_shift_of_both_domains_changes_it() -> None:
    source, target = samples(0), samples(1, mean=0.7)
    expected = discrepancy(source, target).item()
    assert discrepancy(100 * source + 3, 100 * target + 3).item() == pytest.approx(expected, rel=1e-9)


def test_distances_far_from_0_keep_their_digits() -> None:
    x = samples(0, 20, 19).float() + 1000
    exact = ((x.double()[:, None] - x.double()) ** 2).sum(2)
    torch.testing.assert_close(squared_distances(x.mT).double(), exact, rtol=1e-4, atol=1e-4)


def test_equal_features_are_at_no_distance_and_give_no_gradient() -> None:
    """As those that a ReLU has switched off everywhere."""
    source, target = torch.zeros(4, 3, requires_grad=True), torch.zeros(4, 3)
    loss = discrepancy(source, target)
    torch.autograd.backward(loss)
    assert loss.item() == 0
    assert source.grad is not None
    assert not source.grad.any()
    assert torch.equal(kernel(torch.zeros(2, 2)), torch.full((2, 2), 5.0))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_ends_at_the_features(dtype: torch.dtype) -> None:
    """Squares of 300 overflow float16."""
    shape = (2, 5, 4, 6)
    source, target = ((300 * samples(seed, 48)).reshape(shape).to(dtype) for seed in (0, 1))
    with torch.autocast("cpu", torch.bfloat16):
        loss = mmd(drawn(source, 100), drawn(target, 100))
    assert loss.dtype == torch.float32
    expected = expected_mmd(places(source.double()), places(target.double()))
    assert loss.item() == pytest.approx(expected, rel=1e-3, abs=1e-5)


def numbered(images: int, rows: int, columns: int) -> Tensor:
    """Features of two channels: the number of each place, and its negative."""
    number = torch.arange(images * rows * columns, dtype=torch.float64).view(images, 1, rows, columns)
    return torch.cat([number, -number], dim=1)


def test_all_places_are_taken_where_they_are_few() -> None:
    found = drawn(numbered(2, 3, 4), 24).mT
    assert torch.equal(found[:, 0], torch.arange(24, dtype=torch.float64))
    assert torch.equal(found[:, 1], -found[:, 0])


@pytest.mark.parametrize(("most", "number", "length"), [(23, 12, 2), (12, 12, 2), (10, 8, 3), (5, 4, 5), (1, 1, 24)])
def test_of_more_one_of_each_stretch_is_drawn(most: int, number: int, length: int) -> None:
    torch.manual_seed(0)
    found = drawn(numbered(2, 3, 4), most)[0]
    assert len(found) == number <= most
    assert torch.equal(found // length, torch.arange(number, dtype=torch.float64))


def test_every_place_of_a_stretch_is_drawn_as_often() -> None:
    torch.manual_seed(0)
    found = torch.cat([drawn(numbered(2, 4, 8), 16)[0] for _ in range(500)])
    counts = np.bincount(found.numpy().astype(int), minlength=64)
    assert (np.abs(counts - 125) < 5 * math.sqrt(125 * 0.75)).all()


def test_a_gradient_reaches_the_places_that_were_drawn_and_no_other() -> None:
    torch.manual_seed(3)
    features = numbered(2, 3, 4).requires_grad_()
    found = drawn(features, 6)
    torch.autograd.backward(found[0].sum())
    assert features.grad is not None
    reached = features.grad[:, 0].flatten().nonzero().flatten()
    assert torch.equal(reached.double(), found[0].detach())
    assert features.grad[:, 0].sum() == 6
    assert not features.grad[:, 1].any()


def test_a_step_gives_the_network_the_gradient_of_the_equation() -> None:
    run = training_run(MMD(lambda_mmd=3.0), batch=4)
    expected = in_float64(run)
    source, target = batches(run)
    on_source, on_target = (expected[SEGMENTATION](batch.images, auxiliary=True) for batch in (source, target))
    torch.autograd.backward(supervised(on_source, source), retain_graph=True)
    both = expected_gradients(places(on_source.features), places(on_target.features))
    for prediction, gradient in zip((on_source, on_target), both, strict=True):
        images, channels, height, width = prediction.features.shape
        shaped = torch.from_numpy(3.0 * gradient).reshape(images, height, width, channels).movedim(3, 1)
        torch.autograd.backward(prediction.features, shaped, retain_graph=True)
    assert_step_gives(run, expected)


def test_the_discrepancy_is_noted_without_its_weight() -> None:
    run = training_run(MMD(lambda_mmd=0.25))
    step = step_of(run)
    step.passes["target"] = Prediction(step.prediction.logits, (), 2 * step.prediction.features)
    loss = run.methods.methods[0].losses(step)[SEGMENTATION]
    assert loss is not None
    torch.testing.assert_close(loss, 0.25 * step.noted["loss/mmd"])
    source = places(step.prediction.features.double())
    assert step.noted["loss/mmd"].item() == pytest.approx(expected_mmd(source, 2 * source), rel=1e-3, abs=1e-5)


def test_one_image_is_enough_where_it_has_several_places() -> None:
    run = training_run(MMD(samples=5), batch_norm="frozen")
    run.parts = 2
    assert math.isfinite(run.advance(1)["loss/mmd"])


@pytest.mark.parametrize("methods", [Composition((MMD(samples=16),)), Composition((FDA(beta=0.1), MMD(samples=16)))])
@pytest.mark.parametrize("parts", [1, 2])
def test_what_is_drawn_in_a_step_is_drawn_again_after_a_restart(methods: Composition, parts: int) -> None:
    assert methods.methods[-1].samples < TINY  # type: ignore[attr-defined]
    uninterrupted = training_run(methods, batch=4)
    uninterrupted.parts = parts
    uninterrupted.advance(2)
    saved = uninterrupted.save({})
    expected = uninterrupted.advance(2)
    torch.manual_seed(99)
    restored = training_run(methods, batch=4)
    restored.restore(saved)
    assert restored.advance(2) == expected
    assert_same(state(restored), state(uninterrupted))


def test_other_places_are_drawn_in_every_step() -> None:
    run = training_run(MMD(samples=16), batch=4)
    features = numbered(4, 4, 8)
    found = []
    for step in range(2):
        run.step = step
        run._seed_torch("step")
        found.append(drawn(features, 16))
    assert not torch.equal(*found)


def test_a_step_that_draws_is_repeated_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    method = MMD(samples=16)
    monkeypatch.setattr(training, "recorder", lambda device, arithmetic: Emulated())
    repeated = training_run(method, batch=4)
    monkeypatch.setattr(training, "recorder", lambda device, arithmetic: None)
    taken = training_run(method, batch=4)
    assert repeated.advance(WARM_UP + 4) == taken.advance(WARM_UP + 4)
    assert_same(state(repeated)["modules"], state(taken)["modules"])
    assert repeated.graph.repeats


@pytest.mark.parametrize("number", [1, 0])
def test_a_single_sample_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=r"MMD\.samples must be at least 2"):
        MMD(samples=number)


def test_defaults() -> None:
    assert vars(MMD()) == {"lambda_mmd": 1.0, "samples": 1024}
    assert replace(MMD(), samples=2).samples == 2
