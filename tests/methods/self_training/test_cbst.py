"""CBST by hand: k of each class as the published code sorts for it, and labels by the ratio to it."""

import copy
import math

import numpy as np
import pytest
import torch

from platform.methods import CBST
from platform.methods.method import SEGMENTATION
from platform.methods.self_training.cbst import balanced
from platform.methods.self_training.rounds.teaching import SUCCESSOR, TEACHERS, THRESHOLDS
from platform.shifts.labels import VOID
from platform.training.run import TrainingRun
from tests.support.parity import assert_step_gives, batches, enlarged, in_float64, supervised
from tests.support.rounds import all_images, mean_cross_entropy, predicted
from tests.support.tiny_splits import training_run


def sorted_thresholds(p: np.ndarray, portion: float) -> list[float]:
    """exp(-k) as the published code finds it: the probability in place floor(portion n), and 1 without any."""
    labels, probabilities, found = p.argmax(axis=-1), p.max(axis=-1), [1.0] * 19
    for number in range(19):
        of_class = sorted(probabilities[labels == number], reverse=True)
        place = math.floor(portion * len(of_class))
        if place:
            found[number] = of_class[place - 1]
    return found


def thresholds(run: TrainingRun) -> np.ndarray:
    found: np.ndarray = run._modules[THRESHOLDS].get_buffer("of_class").numpy().copy()
    return found


def test_the_portion_grows_from_round_to_round_and_ends_at_its_largest() -> None:
    """Each round's thresholds are those of its own teacher, at the probability that its portion reaches."""
    method = CBST(rounds=4, portion=0.2, portion_growth=0.25, largest_portion=0.6)
    run = training_run(method, steps=8, learning_rate=0.05)
    for portion, until in ((0.2, 1), (0.45, 2), (0.6, 4), (0.6, 6)):
        run.advance(until - run.step)
        teacher = run._modules[SUCCESSOR] if until > 1 else run._modules[TEACHERS].get_submodule("0")
        expected = sorted_thresholds(predicted(teacher, all_images(run)), portion)
        # A class of few pixels may gain or lose one to another by rounding.
        assert np.mean(np.abs(thresholds(run) - expected) <= 2e-3) > 0.9
        last = thresholds(run)
        run.advance(1 if until in (2, 4, 6) else 0)
        np.testing.assert_array_equal(thresholds(run), last)


def test_a_pixel_is_of_the_class_that_is_largest_beside_its_own_threshold() -> None:
    """0.3 of 0.25 is more than 0.6 of 0.9, and 0.5 of 0.9 is not enough."""
    p = torch.zeros(1, 19, 1, 4)
    p[0, 0, 0], p[0, 1, 0] = torch.tensor([0.6, 0.5, 0.9, 0.1]), torch.tensor([0.3, 0.2, 0.1, 0.25])
    of_class = torch.ones(19)
    of_class[0], of_class[1] = 0.9, 0.25
    assert balanced(p, of_class).tolist() == [[[1, VOID, 0, 1]]]
    assert balanced(p, torch.full((19,), 2.0)).tolist() == [[[VOID] * 4]]


def test_gradients_equal_those_of_the_equation() -> None:
    run = training_run(CBST(lambda_pseudo=0.7, rounds=1), augmentation="flip and crop")
    in_float64(run)
    run.advance(2)
    expected = copy.deepcopy(run._modules)
    network, (given,) = expected[SEGMENTATION], expected[TEACHERS].children()
    source, target = batches(run)
    ratios = predicted(given, target.images) / thresholds(run)
    labels = np.empty(ratios.shape[:-1], int)
    for place in np.ndindex(labels.shape):
        best = int(ratios[place].argmax())
        labels[place] = best if ratios[place][best] >= 1 else VOID
    assert 0 < (labels == VOID).mean() < 1
    loss = supervised(network(source.images, auxiliary=True), source)
    logits = enlarged(network(target.images, auxiliary=True).logits, target.images)
    torch.autograd.backward(loss + 0.7 * mean_cross_entropy(logits, labels))
    assert_step_gives(run, {SEGMENTATION: network}, tolerance=1e-6)


def test_published_defaults() -> None:
    assert vars(CBST()) == {
        "lambda_pseudo": 1.0,
        "rounds": 3,
        "portion": 0.2,
        "portion_growth": 0.05,
        "largest_portion": 0.5,
    }


@pytest.mark.parametrize("field", ["portion", "largest_portion"])
def test_a_portion_of_nothing_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=rf"CBST\.{field} must be above 0\.0 and at most 1\.0"):
        CBST(**{field: 0.0})  # type: ignore[arg-type]
