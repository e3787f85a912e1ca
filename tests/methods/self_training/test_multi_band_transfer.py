"""Multi-band transfer: three teachers, one round, a student that begins anew, and FDA beside it."""

import copy

import numpy as np
import pytest
import torch

from platform.methods import FDA, MultiBandTransfer, PseudoLabels, SourceOnly
from platform.methods.composition import Composition, check_together
from platform.methods.method import SEGMENTATION
from platform.methods.self_training.rounds.teaching import TEACHERS, THRESHOLDS
from platform.networks import LRASPP
from platform.shifts.labels import VOID
from platform.training.run import TrainingRun
from tests.support.parity import assert_step_gives, batches, enlarged, in_float64, supervised
from tests.support.rounds import (
    all_images,
    mean_cross_entropy,
    predicted,
    sorted_thresholds,
)
from tests.support.tiny_splits import CPU, assert_same, composition, parameters, recipe, splits, training_run


def test_thresholds_are_those_of_the_teachers_average() -> None:
    run = training_run(MultiBandTransfer())
    teachers = [*run._modules[TEACHERS].children()]
    assert len(teachers) == 3
    p = np.mean([predicted(teacher, all_images(run)) for teacher in teachers], axis=0)
    run.advance(1)
    found = run._modules[THRESHOLDS].get_buffer("of_class").numpy()
    np.testing.assert_allclose(found, sorted_thresholds(p, 0.66, 0.9), atol=2e-3)


def test_gradients_equal_those_of_the_equation() -> None:
    run = training_run(MultiBandTransfer(lambda_pseudo=0.7), augmentation="flip and crop")
    in_float64(run)
    run.advance(2)
    expected = copy.deepcopy(run._modules)
    network, teachers = expected[SEGMENTATION], [*expected[TEACHERS].children()]
    source, target = batches(run)
    p = np.mean([predicted(teacher, target.images) for teacher in teachers], axis=0)
    labels = p.argmax(axis=-1)
    labels[p.max(axis=-1) < expected[THRESHOLDS].get_buffer("of_class").numpy()[labels]] = VOID
    loss = supervised(network(source.images, auxiliary=True), source)
    logits = enlarged(network(target.images, auxiliary=True).logits, target.images)
    torch.autograd.backward(loss + 0.7 * mean_cross_entropy(logits, labels))
    assert_step_gives(run, {SEGMENTATION: network}, tolerance=1e-6)


def test_the_student_begins_from_its_own_weights_and_the_teachers_stay_as_they_were() -> None:
    run = training_run(MultiBandTransfer(), learning_rate=0.1)
    assert_same(parameters(run), parameters(training_run(SourceOnly())))
    before = {name: value.clone() for name, value in run._modules[TEACHERS].state_dict().items()}
    run.advance(4)
    assert_same(dict(run._modules[TEACHERS].state_dict()), before)
    assert run.methods.deployed == SEGMENTATION


def test_the_student_may_be_another_network_than_its_teachers() -> None:
    given = [recipe().network.build(), LRASPP().bare().build()]
    run = TrainingRun(composition(MultiBandTransfer()), recipe(), splits(), 1, 4, CPU, given)
    run.advance(1)
    assert run.advance(1)["pseudo_labels/labelled"] > 0


def test_one_teacher_labels_as_the_first_round_of_pseudo_labels() -> None:
    given = recipe().network.build()
    runs = [
        TrainingRun(composition(method), recipe(), splits(), 1, 4, CPU, [given])
        for method in (MultiBandTransfer(), PseudoLabels(rounds=1))
    ]
    for run in runs:
        run.advance(1)
    first, second = (run._modules[THRESHOLDS].get_buffer("of_class") for run in runs)
    assert torch.equal(first, second)
    labelled = {run.advance(1)["pseudo_labels/labelled"] for run in runs}
    assert len(labelled) == 1


def test_beside_fda_sources_are_translated_and_the_target_is_passed_once() -> None:
    run = training_run(Composition((FDA(beta=0.1), MultiBandTransfer())))
    source, _ = batches(run)
    untranslated, _ = batches(training_run(MultiBandTransfer()))
    assert torch.equal(source.labels, untranslated.labels)
    assert not torch.equal(source.images, untranslated.images)
    passed: list[int] = []
    run.network.register_forward_pre_hook(lambda *_: passed.append(1))
    noted = [run.advance(1), run.advance(1)][1]
    assert len(passed) == 4
    assert {"loss/entropy", "loss/pseudo_labels", "loss/cross_entropy"} <= noted.keys()


def test_it_cannot_act_beside_pseudo_labels_whose_fields_it_has() -> None:
    with pytest.raises(ValueError, match="must have different fields"):
        check_together([MultiBandTransfer, PseudoLabels])


def test_published_defaults() -> None:
    assert vars(MultiBandTransfer()) == {"lambda_pseudo": 1.0, "fraction": 0.66, "confidence": 0.9}
