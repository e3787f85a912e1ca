"""Pseudo-labels by hand: thresholds as the published code sorts for them, labels, and the gradient that follows."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from platform.methods import FDA, PseudoLabels
from platform.methods.composition import Composition
from platform.methods.method import SEGMENTATION
from platform.methods.self_training.rounds.teaching import SUCCESSOR, TEACHERS, THRESHOLDS
from platform.networks import LRASPP
from platform.networks.network import Prediction
from platform.shifts.labels import VOID
from platform.training.run import TrainingRun
from tests.support.parity import assert_step_gives, batches, enlarged, in_float64, supervised, void_source
from tests.support.rounds import all_images, mean_cross_entropy, predicted, sorted_thresholds
from tests.support.tiny_splits import CPU, assert_same, composition, recipe, splits, training_run


@pytest.mark.parametrize(("fraction", "confidence"), [(0.66, 0.9), (0.2, 1.0), (1.0, 0.9), (0.5, 0.07)])
def test_thresholds_are_those_of_sorted_pixels_of_all_images(fraction: float, confidence: float) -> None:
    run = training_run(PseudoLabels(fraction=fraction, confidence=confidence))
    (teacher,) = run._modules[TEACHERS].children()
    p = predicted(teacher, all_images(run))
    run.advance(1)
    found = run._modules[THRESHOLDS].get_buffer("of_class").numpy()
    np.testing.assert_allclose(found, sorted_thresholds(p, fraction, confidence), atol=2e-3)
    sure = np.isclose(p.max(axis=-1), found[p.argmax(axis=-1)], atol=1e-6) | (p.max(axis=-1) > found[p.argmax(axis=-1)])
    assert fraction - 0.01 <= sure.mean()


def test_a_class_that_the_teacher_finds_nowhere_is_labelled_from_the_confidence_on() -> None:
    run = training_run(PseudoLabels(confidence=0.8))
    (teacher,) = run._modules[TEACHERS].children()
    absent = set(range(19)) - set(predicted(teacher, all_images(run)).argmax(axis=-1).flatten().tolist())
    run.advance(1)
    assert absent
    assert all(run._modules[THRESHOLDS].get_buffer("of_class")[number] == pytest.approx(0.8) for number in absent)


@pytest.mark.parametrize("rounds", [1, 10])
def test_gradients_equal_those_of_the_equation(rounds: int) -> None:
    """The labels are those of the images as they were flipped and cropped; with ten rounds the network's own copy's."""
    run = training_run(PseudoLabels(lambda_pseudo=0.7, rounds=rounds), augmentation="flip and crop")
    in_float64(run)
    run.advance(3)
    expected = copy.deepcopy(run._modules)
    network, (given,) = expected[SEGMENTATION], expected[TEACHERS].children()
    source, target = batches(run)
    p = predicted(given if rounds == 1 else expected[SUCCESSOR], target.images)
    thresholds = expected[THRESHOLDS].get_buffer("of_class").numpy()
    labels = p.argmax(axis=-1)
    labels[p.max(axis=-1) < thresholds[labels]] = VOID
    assert 0 < (labels == VOID).mean() < 1
    loss = supervised(network(source.images, auxiliary=True), source)
    logits = enlarged(network(target.images, auxiliary=True).logits, target.images)
    torch.autograd.backward(loss + 0.7 * mean_cross_entropy(logits, labels))
    assert_step_gives(run, {SEGMENTATION: network}, tolerance=1e-6)


def test_where_nothing_is_sure_enough_the_source_alone_teaches() -> None:
    run = training_run(PseudoLabels(fraction=1e-6, confidence=1.0))
    noted = [run.advance(1) for _ in range(3)]
    for each in noted:
        assert (each["loss/pseudo_labels"], each["pseudo_labels/labelled"]) == (0, 0)
        assert each["loss/cross_entropy"] > 0


def test_where_all_is_sure_every_pixel_has_a_label() -> None:
    run = training_run(PseudoLabels(confidence=1e-3), void_source(splits()))
    run.advance(1)
    noted = run.advance(1)
    assert noted["loss/cross_entropy"] == 0
    assert noted["pseudo_labels/labelled"] == 1
    assert noted["loss/pseudo_labels"] > 0


def test_a_teacher_of_one_class_teaches_it() -> None:
    run = training_run(PseudoLabels())
    (teacher,) = run._modules[TEACHERS].children()
    certain = torch.zeros(2, 19, 4, 8)
    certain[:, 11] = 100.0

    def say_one_class(_: object, inputs: tuple[torch.Tensor, ...], __: object) -> Prediction:
        logits = certain[: len(inputs[0])]
        return Prediction(logits, (), logits)

    teacher.register_forward_hook(say_one_class)
    run.advance(1)
    noted = run.advance(1)
    assert noted["pseudo_labels/labelled"] == 1
    assert math.isfinite(noted["loss/pseudo_labels"])


def test_it_begins_from_the_first_network_that_it_is_given() -> None:
    given = [recipe().network.build() for _ in range(2)]
    run = TrainingRun(composition(PseudoLabels()), recipe(), splits(), 1, 4, CPU, given)
    assert_same(dict(run.network.state_dict()), dict(given[0].state_dict()))
    assert len([*run._modules[TEACHERS].children()]) == 2


def test_another_networks_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="PseudoLabels must begin from weights of its own network"):
        TrainingRun(composition(PseudoLabels()), recipe(), splits(), 1, 4, CPU, [LRASPP().bare().build()])


def test_in_half_precision_it_labels_and_learns_alike() -> None:
    half, full = training_run(PseudoLabels(), batch=4), training_run(PseudoLabels(), batch=4)
    half.arithmetic = replace(half.arithmetic, type=torch.bfloat16)
    for run in (half, full):
        run.advance(1)
    expected = full.advance(1)
    for name, value in half.advance(1).items():
        assert value == pytest.approx(expected[name], rel=0.1, abs=0.02), name


def test_beside_fda_it_learns_from_the_same_pass_of_the_target() -> None:
    run = training_run(Composition((FDA(beta=0.1), PseudoLabels())))
    passed: list[int] = []
    run.network.register_forward_pre_hook(lambda *_: passed.append(1))
    noted = [run.advance(1), run.advance(1)][1]
    assert len(passed) == 4
    assert {"loss/entropy", "loss/pseudo_labels", "loss/cross_entropy"} <= noted.keys()


def test_published_defaults() -> None:
    assert vars(PseudoLabels()) == {"lambda_pseudo": 1.0, "rounds": 2, "fraction": 0.66, "confidence": 0.9}
    assert PseudoLabels.deployed == SEGMENTATION


@pytest.mark.parametrize(
    ("values", "words"),
    [({"fraction": 0.0}, "must be above 0.0 and at most 1.0"), ({"rounds": 0}, "must be at least 1")],
)
def test_values_that_label_nothing_are_refused(values: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PseudoLabels(**values)  # type: ignore[arg-type]
