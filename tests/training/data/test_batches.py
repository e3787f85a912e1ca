"""The order of images, and batches in accumulated parts."""

import itertools
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from platform.methods import FDA, Adversarial, SourceOnly, TargetSupervised
from platform.methods.batch import Labelled
from platform.methods.composition import Composition
from platform.methods.step import Step
from platform.networks import BiSeNet18
from platform.shifts.few import granted
from platform.shifts.labels import VOID
from platform.shifts.shift import Images, LabelledImages, Pixels
from platform.shifts.stored import CONTENTS, NewSplit, Stored, Verified, described
from platform.training.data.transfer import SLOTS
from platform.training.recipe import Recipe
from platform.training.run import TrainingRun
from tests.support.arrays import all_of
from tests.support.fake_step import full_size_splits
from tests.support.own_methods import Few
from tests.support.tiny_splits import (
    CPU,
    Sealed,
    assert_same,
    splits,
    state,
    step_of,
    training_run,
)


def orders(run: TrainingRun, steps: int) -> tuple[list[int], list[int]]:
    labelled_order, target_order = [], []
    for run.step in range(steps):
        batch = step_of(run)
        labelled_order += batch.source.indices.tolist()
        target_order += batch.target.indices.tolist()
    return labelled_order, target_order


def test_every_epoch_is_another_permutation_of_the_split() -> None:
    labelled_order, target_order = orders(training_run(FDA(), splits(source=7, target=5), steps=35, batch=3), 35)
    for order, length in ((labelled_order, 7), (target_order, 5)):
        epochs = [order[start : start + length] for start in range(0, len(order) - length + 1, length)]
        assert len(epochs) >= 15
        assert all(sorted(epoch) == list(range(length)) for epoch in epochs)
        assert len({tuple(epoch) for epoch in epochs}) > len(epochs) // 2


def test_source_and_target_are_paired_anew_in_every_epoch() -> None:
    labelled_order, target_order = orders(training_run(FDA(), splits(source=6, target=6), steps=30), 30)
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
            for module in run._modules.values():
                module.double()
        expected, found = whole.advance(1), halved.advance(1)
        for name in whole._modules:
            for left, right in zip(gradients(halved, name), gradients(whole, name), strict=True):
                torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-9)
        expected.pop("discriminator/spread", None)
        assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)
        assert (whole.step, halved.step) == (1, 1)


def gradients(run: TrainingRun, name: str) -> list[Tensor]:
    return [parameter.grad for parameter in run._modules[name].parameters() if parameter.grad is not None]


def test_halves_hold_the_same_images_and_their_terms_are_averaged() -> None:
    seen: list[tuple[list[int], float]] = []

    @dataclass(frozen=True, kw_only=True)
    class Numbered(FDA):
        def losses(self, step: Step) -> dict[str, Tensor]:
            losses = dict(super().losses(step))
            step.note("number", torch.tensor(float(len(seen))))
            indices = step.source.indices.tolist() + step.target.indices.tolist()
            seen.append((indices, step.noted["loss/cross_entropy"].item()))
            return losses

    run = training_run(Numbered(beta=0.1), batch=4)
    batch = step_of(run)
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


# Weights of source images


@dataclass(frozen=True, kw_only=True)
class RareOften(FDA):
    """Draws the images with the sixth class nine times as often as the others."""

    def weights(self, labelled: LabelledImages) -> np.ndarray:
        return np.where(holding(labelled), 9.0, 1.0)


def holding(labelled: LabelledImages) -> np.ndarray:
    """Which images hold the sixth class."""
    held: np.ndarray = (all_of(labelled.labels) == 5).any(axis=(1, 2))
    return held


def test_images_with_weight_are_drawn_by_it() -> None:
    data = splits(source=12)
    often = holding(data.source_train)
    assert 0 < often.sum() < 12
    drawn, _ = orders(training_run(RareOften(), data, steps=300, batch=4), 300)
    shares = np.bincount(drawn, minlength=12) / len(drawn)
    weights = np.where(often, 9.0, 1.0)
    np.testing.assert_allclose(shares, weights / weights.sum(), atol=0.03)


def test_an_image_of_weight_0_is_never_drawn() -> None:
    @dataclass(frozen=True, kw_only=True)
    class FirstTwo(SourceOnly):
        def weights(self, labelled: LabelledImages) -> np.ndarray:
            return np.array([1, 2] + [0] * (len(labelled) - 2))

    run = training_run(FirstTwo())
    drawn = [index for step in range(30) for index in run.batches.at(step)["source"].indices.tolist()]
    assert set(drawn) == {0, 1}
    assert drawn.count(1) > drawn.count(0)


def test_drawing_by_weight_belongs_to_the_seed_and_leaves_the_target_as_it_was() -> None:
    first, again, other = (orders(training_run(RareOften(), seed=seed), 20) for seed in (1, 1, 2))
    assert first == again
    assert first[0] != other[0]
    assert first[1] == orders(training_run(FDA()), 20)[1]


@pytest.mark.parametrize("interruption", [1, 3])
def test_a_run_that_draws_by_weight_is_resumed_bit_for_bit(interruption: int) -> None:
    uninterrupted, restored = training_run(RareOften()), training_run(RareOften())
    uninterrupted.advance(interruption)
    restored.restore(uninterrupted.save({}))
    assert restored.advance(3) == uninterrupted.advance(3)
    assert_same(state(restored), state(uninterrupted))


def test_weights_are_asked_for_once() -> None:
    asked: list[int] = []

    @dataclass(frozen=True, kw_only=True)
    class Counting(SourceOnly):
        def weights(self, labelled: LabelledImages) -> np.ndarray:
            asked.append(len(labelled))
            return np.ones(len(labelled))

    training_run(Counting()).advance(3)
    assert asked == [7]


# The few labelled target images


def test_a_method_that_reads_few_is_given_batches_of_what_the_shift_grants() -> None:
    data = granted(splits(target=5), 3)
    run = training_run(Few(), data)
    shown = [run.batches.at(step)["few"] for step in range(9)]
    indices = [batch.indices.tolist() for batch in shown]
    assert sorted(index for pair in indices[:3] for index in pair) == [0, 0, 1, 1, 2, 2]
    assert len({tuple(pair) for pair in indices}) > 2
    plain = training_run(Few(), data, augmentation="none").batches.at(0)["few"]
    assert isinstance(plain, Labelled)
    for image, labels, index in zip(plain.images, plain.labels, plain.indices.tolist(), strict=True):
        position = (0, 1, 3)[index]
        adapted = all_of(data.target_adapt.pixels)[position]
        assert torch.equal(image, torch.from_numpy(adapted.copy()).permute(2, 0, 1).float())
        assert torch.equal(labels, torch.from_numpy(all_of(data.oracle.adapt.labels)[position].copy()).long())


def test_fewer_than_a_batch_are_repeated() -> None:
    run = training_run(Few(), granted(splits(), 1), batch=4)
    batch = run.batches.at(0)["few"]
    assert batch.indices.tolist() == [0] * 4
    run.parts = 2
    run.advance(2)


def test_the_cross_entropy_of_the_few_is_added_and_noted() -> None:
    alone, few = training_run(FDA(entropy_weight=0.0, beta=0.0)), training_run(Few(), granted(splits(), 2))
    expected, noted = alone.advance(1), few.advance(1)
    assert noted.keys() == {"loss/cross_entropy", "loss/cross_entropy/few"}
    assert noted["loss/cross_entropy/few"] > 0
    assert expected.keys() == {"loss/cross_entropy"}
    step = step_of(few)
    whole = few.methods.losses(step, few._players)["segmentation"].item()
    by_hand = [
        step.cross_entropy(prediction, batch.labels).item()
        for prediction, batch in ((step.prediction, step.source), (step.few_prediction, step.few))
    ]
    assert whole == pytest.approx(sum(by_hand))


def test_a_shift_that_grants_none_is_refused_to_a_method_that_reads_few() -> None:
    words = "^Few reads labelled target images, and the shift grants none; set few$"
    with pytest.raises(ValueError, match=words):
        training_run(Few())


def test_methods_that_do_not_read_few_are_not_shown_it() -> None:
    data = replace(splits(), few=Sealed("few"))  # type: ignore[arg-type]
    for method in (SourceOnly(), FDA(), TargetSupervised()):
        training_run(method, data).advance(1)


# What is read ahead, and how much


def on_disk(folder: Path, split: str, images: Images, labels: np.ndarray) -> dict[str, Stored]:
    """A split's images and labels in files."""
    written = NewSplit(folder, split, len(images), images.pixels.shape[1:3], labels.shape[1:])
    for position, (image, label) in enumerate(zip(all_of(images.pixels), labels, strict=True)):
        written.put(position, image, label)
    written.finish(images.names)
    known = described(folder, split)
    return {what: Stored(folder, split, what, known[what]) for what in CONTENTS}


def test_a_step_is_read_and_then_the_system_is_told_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = splits()
    source, adapt = data.source_train, data.oracle.adapt
    of_source = on_disk(tmp_path, "source", source.images, all_of(source.labels))
    of_target = on_disk(tmp_path, "target", adapt.images, all_of(adapt.labels))
    data = replace(
        data,
        source_train=LabelledImages(replace(source.images, pixels=of_source["images"]), of_source["labels"]),
        target_adapt=replace(adapt.images, pixels=of_target["images"]),
    )
    run, steps = training_run(FDA(), data, steps=6), 6
    names = {
        of_source["images"].nameless: "source images",
        of_source["labels"].nameless: "source labels",
        of_target["images"].nameless: "target images",
    }
    asked: list[tuple[str, str, list[int]]] = []
    read = Verified.fill

    def fill(arrays: Verified, positions: list[int], chosen: Pixels) -> None:
        asked.append(("read", names[arrays], positions))
        read(arrays, positions, chosen)

    monkeypatch.setattr(Verified, "fill", fill)
    monkeypatch.setattr(
        Verified, "will_need", lambda arrays, positions: asked.append(("will need", names[arrays], positions))
    )
    shown = []
    for step in range(steps):
        batches = run.batches.at(step)
        chosen = {name: batch.indices.tolist() for name, batch in batches.items()}
        shown.append([(what, chosen[what.split()[0]]) for what in names.values()])
    expected = [("read", *each) for each in shown[0]]
    for now, later in itertools.pairwise(range(steps)):
        expected += [("will need", *each) for each in shown[later]]
        expected += [("read", *each) for each in shown[now + 1]]
    # After the last step the system may be told of one more, which nobody takes.
    assert asked[: len(expected)] == expected
    assert not [each for each in asked[len(expected) :] if each[0] == "read"]


@pytest.fixture(scope="module")
def full_size() -> TrainingRun:
    """4 + 4 images at 512 x 1024, and a network that hardly counts."""
    recipe = Recipe(network=BiSeNet18(width=1 / 64))
    return TrainingRun(Composition((FDA(),)), recipe, full_size_splits(recipe.batch), 1, 40, CPU)


def test_a_full_size_step_sends_no_more_than_the_bytes_that_there_are(full_size: TrainingRun) -> None:
    """15 MB are what gets through while a step is taken."""
    assert full_size.images_per_step == 8
    assert full_size.batches._transfer.bytes <= 15e6


def test_the_training_thread_spends_next_to_no_time_of_its_own_on_full_size_images(full_size: TrainingRun) -> None:
    """A quarter of a millisecond where reading takes two: of the thread, whatever else the machine does."""
    run, spent = full_size, []
    for step in range(30):
        began = time.thread_time()
        run.batches._ahead.at(step)
        run.batches._transfer.send(step % SLOTS)
        spent.append(time.thread_time() - began)
    assert statistics.median(spent) <= 1e-3
