"""The order of images, and batches in accumulated parts."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from platform.methods import FDA, Adversarial, SourceOnly, TargetSupervised
from platform.methods.method import Step
from platform.shifts.labels import VOID
from platform.shifts.shift import LabelledImages
from platform.training.run import TrainingRun
from tests.support.arrays import all_of
from tests.support.tiny_splits import (
    splits,
    training_run,
)


def orders(run: TrainingRun, steps: int) -> tuple[list[int], list[int]]:
    labelled_order, target_order = [], []
    for run.step in range(steps):
        batch = run._batch()
        labelled_order += batch.source.indices.tolist()
        target_order += [] if batch.target is None else batch.target.indices.tolist()
    return labelled_order, target_order


def test_every_epoch_is_another_permutation_of_the_split() -> None:
    labelled_order, target_order = orders(training_run(FDA(), splits(source=7, target=5), batch=3), 35)
    for order, length in ((labelled_order, 7), (target_order, 5)):
        epochs = [order[start : start + length] for start in range(0, len(order) - length + 1, length)]
        assert len(epochs) >= 15
        assert all(sorted(epoch) == list(range(length)) for epoch in epochs)
        assert len({tuple(epoch) for epoch in epochs}) > len(epochs) // 2


def test_source_and_target_are_paired_anew_in_every_epoch() -> None:
    labelled_order, target_order = orders(training_run(FDA(), splits(source=6, target=6)), 30)
    assert labelled_order != target_order
    assert len(set(zip(labelled_order, target_order, strict=True))) > 20


def test_the_order_belongs_to_the_seed() -> None:
    first, again, other = (orders(training_run(FDA(), seed=seed), 10) for seed in (1, 1, 2))
    assert first == again
    assert first[0] != other[0]
    assert first[1] != other[1]


def test_a_batch_larger_than_a_split_is_refused() -> None:
    message = "a training split must hold at least one batch of 6 images, it holds 5; lower the recipe's batch or add"
    for method in (FDA(), Adversarial(), TargetSupervised()):
        with pytest.raises(ValueError, match=message):
            training_run(method, splits(source=7, target=5), batch=6)
    training_run(SourceOnly(), splits(source=7, target=5), batch=6)
    with pytest.raises(ValueError, match="it holds 4"):
        training_run(SourceOnly(), splits(source=4, target=5), batch=5)


def test_labels_that_are_void_everywhere_are_none_to_train_on() -> None:
    data = splits()
    void = LabelledImages(data.target_adapt, np.full_like(all_of(data.oracle.adapt.labels), VOID))
    without = replace(data, oracle=replace(data.oracle, adapt=void))
    with pytest.raises(ValueError, match="reads labels of what is adapted to, which has none; leave it out"):
        training_run(TargetSupervised(), without)
    training_run(SourceOnly(), without)


def test_the_gradient_of_two_halves_is_that_of_the_whole_batch() -> None:
    """Where no statistic of the batch takes part: batch norm frozen, and no void, which every mean leaves out."""
    data = splits()
    labels = np.where(all_of(data.source_train.labels) == VOID, 0, all_of(data.source_train.labels))
    data = replace(data, source_train=LabelledImages(data.source_train.images, labels))
    for method in (SourceOnly(), FDA(beta=0.1, entropy_weight=1.0), Adversarial(width=4, lambda_adv=0.5)):
        whole, halved = (training_run(method, data, batch=4, batch_norm="frozen") for _ in range(2))
        halved.parts = 2
        for run in (whole, halved):
            for trained in run._trained.values():
                trained.module.double()
        expected, found = whole.advance(1), halved.advance(1)
        for name in whole._trained:
            for left, right in zip(gradients(halved, name), gradients(whole, name), strict=True):
                torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-9)
        expected.pop("discriminator/spread", None)
        assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)
        assert (whole.step, halved.step) == (1, 1)


def gradients(run: TrainingRun, name: str) -> list[Tensor]:
    return [parameter.grad for parameter in run._trained[name].module.parameters() if parameter.grad is not None]


def test_halves_hold_the_same_images_and_their_terms_are_averaged() -> None:
    seen: list[tuple[list[int], float]] = []

    @dataclass(frozen=True, kw_only=True)
    class Numbered(FDA):
        def losses(self, step: Step) -> dict[str, Tensor]:
            assert step.target is not None
            losses = dict(super().losses(step))
            step.note("number", torch.tensor(float(len(seen))))
            indices = step.source.indices.tolist() + step.target.indices.tolist()
            seen.append((indices, step.noted["loss/cross_entropy"].item()))
            return losses

    run = training_run(Numbered(beta=0.1), batch=4)
    batch = run._batch()
    assert batch.target is not None
    source, target = batch.source.indices.tolist(), batch.target.indices.tolist()
    run.parts = 2
    means = run.advance(1)
    assert [indices for indices, _ in seen] == [source[:2] + target[:2], source[2:] + target[2:]]
    assert means["number"] == 0.5
    assert means["loss/cross_entropy"] == pytest.approx((seen[0][1] + seen[1][1]) / 2)


def test_a_restored_run_stays_in_halves() -> None:
    run = training_run(SourceOnly(), batch=4)
    run.parts = 2
    restored = training_run(SourceOnly(), batch=4)
    restored.restore(run.save({}))
    assert restored.parts == 2
