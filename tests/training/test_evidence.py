"""Evidence as an evaluation gathers it, against what the network says of single images."""

import dataclasses
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special
from torch import nn
from torch.nn import functional

from platform.methods import SourceOnly
from platform.networks import LRASPP
from platform.networks.network import Prediction
from platform.scores.evidence import Evidence, loaded, saved
from platform.scores.selectors.population import Committee, EnsV
from platform.shifts.labels import CAMVID_11, NUM_CLASSES, VOID
from platform.shifts.randomness import derive
from platform.shifts.shift import Oracle
from platform.training.evaluation import evaluation
from platform.training.evidence import Gathered, spread
from platform.training.run import Interrupted, TrainingRun
from tests.support.arrays import all_of
from tests.support.made_evidence import arrays_of, mixture
from tests.support.single_images import (
    classes_of,
    coarser,
    counted,
    located,
    pixels_of,
    places_of,
    predicted,
    relabelled,
    splits_of,
    trained,
)
from tests.support.tiny_splits import SIZE, training_run

SAMPLES = {"source": 512, "target": 1024}


def evidence_of(run: TrainingRun, tested: bool = False) -> Evidence:
    return evaluation(run, CAMVID_11, tested).evidence


@pytest.fixture(scope="module")
def run() -> TrainingRun:
    return trained()


@pytest.fixture(scope="module")
def found(run: TrainingRun) -> Evidence:
    return evidence_of(run)


# What is kept


@pytest.mark.parametrize("domain", ["source", "target"])
def test_means_are_over_all_places_of_all_images(run: TrainingRun, found: Evidence, domain: str) -> None:
    split = run.splits.source_val.images if domain == "source" else run.splits.target_val
    logits = torch.cat([each.logits for each in predicted(run, pixels_of(split))])
    places = [logits[i, :, y, x].double().numpy() for i in range(3) for y in range(4) for x in range(8)]
    p = [special.softmax(place) for place in places]
    sampled = getattr(found, domain)
    assert sampled.places == len(p) == 96
    np.testing.assert_allclose(sampled.mean, np.mean(p, axis=0), rtol=1e-5)
    np.testing.assert_allclose(sampled.products, np.mean([np.outer(q, q) for q in p], axis=0), rtol=1e-4, atol=1e-9)
    assert sampled.entropy == pytest.approx(np.mean([special.entr(q).sum() for q in p]), rel=1e-5)
    assert sampled.predicted.tolist() == [sum(place.argmax() == c for place in places) for c in range(NUM_CLASSES)]


@pytest.mark.parametrize("domain", ["source", "target"])
def test_samples_are_of_a_place_of_their_image(run: TrainingRun, found: Evidence, domain: str) -> None:
    split = run.splits.source_val.images if domain == "source" else run.splits.target_val
    predictions, sampled = predicted(run, pixels_of(split)), getattr(found, domain)
    assert len(sampled.logits) == len(sampled.features) == len(sampled.images) == SAMPLES[domain]
    assert set(sampled.images.tolist()) == {0, 1, 2}
    seen = set()
    for logits, features, number in zip(sampled.logits, sampled.features, sampled.images.tolist(), strict=True):
        places = places_of(predictions, number, logits)
        channels = predictions[number].features[0].numpy()
        assert any(np.allclose(channels[:, y, x], features, rtol=2e-3, atol=1e-4) for y, x in places)
        seen |= {(number, *place) for place in places}
    assert len(seen) > 90, "samples are all over the images"


@pytest.mark.parametrize("size", [SIZE, (47, 91)])
def test_a_label_is_that_in_the_middle_of_its_sample_s_place(size: tuple[int, int]) -> None:
    run = trained(splits_of(2, size))
    made, split = evidence_of(run), run.splits.source_val
    predictions, labels = predicted(run, pixels_of(split.images)), all_of(split.labels)
    rows, columns = predictions[0].logits.shape[2:]
    for logits, label, number in zip(made.source.logits, made.source_labels, made.source.images.tolist(), strict=True):
        middles = [
            labels[number, int((row + 0.5) / rows * 48), int((column + 0.5) / columns * 96)]
            for row, column in places_of(predictions, number, logits)
        ]
        assert label in middles
    assert VOID in made.source_labels


def test_the_source_s_confusion_and_the_groups_are_those_of_the_report(run: TrainingRun) -> None:
    whole = evaluation(run, CAMVID_11, tested=True)
    np.testing.assert_array_equal(whole.evidence.source_confusion, whole.confusions["source/val"])
    assert whole.evidence.groups == CAMVID_11


def test_maps_are_the_classes_that_are_predicted(run: TrainingRun, found: Evidence) -> None:
    classes = classes_of(predicted(run, pixels_of(run.splits.target_val)))
    np.testing.assert_array_equal(found.maps, classes.repeat(4, axis=1).repeat(4, axis=2))


def test_mirror_images_are_laid_over_mirrored_predictions(run: TrainingRun, found: Evidence) -> None:
    pixels = pixels_of(run.splits.target_val)
    mirrored = classes_of(predicted(run, torch.flip(pixels, dims=[3])))
    np.testing.assert_array_equal(
        found.flipped.counts, counted(classes_of(predicted(run, pixels))[:, :, ::-1], mirrored)
    )


def test_middles_are_laid_over_the_middle_of_predictions(run: TrainingRun, found: Evidence) -> None:
    pixels = pixels_of(run.splits.target_val)
    middles = functional.interpolate(pixels[:, :, 4:28, 8:56], size=SIZE, mode="bilinear", align_corners=False)
    before = classes_of(predicted(run, pixels))
    rows, columns = ([int(side * (1 / 8 + 3 / 4 * (i + 0.5) / side)) for i in range(side)] for side in (4, 8))
    expected = counted(before[:, rows][:, :, columns], classes_of(predicted(run, middles)))
    np.testing.assert_array_equal(found.zoomed.counts, expected)


def test_noise_is_the_same_at_every_evaluation(run: TrainingRun, found: Evidence) -> None:
    pixels = pixels_of(run.splits.target_val)
    noise = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(derive("evidence", "noise")))
    noisy = torch.clip(pixels + 16 * noise, min=0, max=255)
    expected = counted(classes_of(predicted(run, pixels)), classes_of(predicted(run, noisy)))
    np.testing.assert_array_equal(found.disturbed.counts, expected)


def test_mixtures_are_of_one_image_over_the_next(run: TrainingRun, found: Evidence) -> None:
    """The third of three images has no partner."""
    pixels = pixels_of(run.splits.target_val)
    above, below, _ = classes_of(predicted(run, pixels))
    (seen,) = classes_of(predicted(run, (0.55 * pixels[0] + 0.45 * pixels[1])[None]))
    expected = mixture(above.ravel(), below.ravel(), seen.ravel())
    np.testing.assert_array_equal(found.mixed.same, expected.same)
    np.testing.assert_array_equal(found.mixed.different, expected.different)


def test_repeated_samples_are_places_before_and_after(run: TrainingRun, found: Evidence) -> None:
    pixels = pixels_of(run.splits.target_val)
    before, after = predicted(run, pixels), predicted(run, torch.flip(pixels, dims=[3]))
    assert len(found.flipped.before) == len(found.flipped.after) == 128
    for first, second in zip(found.flipped.before, found.flipped.after, strict=True):
        mirrored = {(n, y, 7 - x) for n in range(3) for y, x in places_of(before, n, first)}
        assert mirrored & {(n, y, x) for n in range(3) for y, x in places_of(after, n, second)}


# What it depends on


def test_the_same_weights_leave_the_same_file_whatever_else_is_drawn(run: TrainingRun, found: Evidence) -> None:
    for seed in range(2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        drawn = torch.get_rng_state()
        assert saved(evidence_of(run, tested=bool(seed))) == saved(found)
        assert torch.equal(torch.get_rng_state(), drawn)
    restored = training_run(SourceOnly(), seed=9)
    restored.network.load_state_dict(run.network.state_dict())
    assert saved(evidence_of(restored)) == saved(found)


def test_other_weights_leave_another_file(found: Evidence) -> None:
    assert saved(evidence_of(trained(learning_rate=0.02))) != saved(found)


@pytest.mark.parametrize("kind", ["permuted", "other classes", "one class", "another size"])
def test_no_target_label_has_a_part_in_it(run: TrainingRun, found: Evidence, kind: str) -> None:
    oracle = run.splits.oracle
    other = Oracle(adapt=oracle.adapt, val=relabelled(oracle.val, kind), test=relabelled(oracle.test, kind))
    again = training_run(SourceOnly(), dataclasses.replace(run.splits, oracle=other))
    again.network.load_state_dict(run.network.state_dict())
    true, told = evaluation(run, CAMVID_11, tested=True), evaluation(again, CAMVID_11, tested=True)
    for split in ("target/val", "target/test"):
        assert not np.array_equal(true.confusions[split], told.confusions[split])
    assert saved(told.evidence) == saved(found)


def test_labels_are_taken_of_the_source_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    run, taken = trained(splits_of(9)), list[np.ndarray]()
    monkeypatch.setattr(Gathered, "take_labels", lambda self, positions, labels, prediction: taken.append(labels))
    monkeypatch.setattr(Gathered, "labels", lambda self: np.zeros(512, np.uint8))
    evidence_of(run, tested=True)
    np.testing.assert_array_equal(np.concatenate(taken), all_of(run.splits.source_val.labels))


def test_source_labels_have_a_part_in_it(run: TrainingRun, found: Evidence) -> None:
    source = relabelled(run.splits.source_val, "other classes")
    again = training_run(SourceOnly(), dataclasses.replace(run.splits, source_val=source))
    again.network.load_state_dict(run.network.state_dict())
    other = evidence_of(again)
    changed = {name for name, array in arrays_of(other).items() if not np.array_equal(array, arrays_of(found)[name])}
    assert changed == {"source_confusion", "source_labels"}


# Networks and splits of any kind


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("size", [SIZE, (33, 65), (47, 91)])
def test_any_number_of_images_of_any_size_leaves_evidence(number: int, size: tuple[int, int]) -> None:
    made = evidence_of(trained(splits_of(number, size)))
    assert saved(loaded(saved(made))) == saved(made)
    places = number * -(-size[0] // 8) * -(-size[1] // 8)
    assert made.source.places == made.target.places == made.target.predicted.sum() == places
    for each in (made.flipped, made.zoomed, made.disturbed):
        assert each.counts.sum() == places
    assert made.mixed.same.sum() + made.mixed.different.sum() == max(number // 2, 1) * places // number
    assert made.maps.shape == (number, 16, 32)
    assert made.target.mean.sum() == pytest.approx(1, rel=1e-6)
    np.testing.assert_allclose(made.target.products.sum(axis=0), made.target.mean, rtol=1e-4, atol=1e-8)


def test_a_single_image_lies_over_itself() -> None:
    run = trained(splits_of(1))
    (classes,) = classes_of(predicted(run, pixels_of(run.splits.target_val)))
    made = evidence_of(run)
    np.testing.assert_array_equal(made.mixed.same, counted(classes, classes))
    assert not made.mixed.different.any()


def test_features_of_many_channels_are_projected_the_same_way_for_every_network() -> None:
    """Lengths stay about as they are, and one matrix explains the features of both networks."""
    whole, kept = [], []
    for seed in (1, 2):
        run = trained(splits_of(6), network=LRASPP(), seed=seed)
        made = evidence_of(run)
        assert saved(loaded(saved(made))) == saved(made)
        assert made.target.features.shape == (1024, 32)
        predictions = predicted(run, pixels_of(run.splits.target_val))
        for each, number, features in zip(made.target.logits, made.target.images, made.target.features, strict=True):
            y, x = places_of(predictions, int(number), each)[0]
            whole.append(predictions[number].features[0, :, y, x].double().numpy())
            kept.append(features.astype(np.float64))
    channels, features = np.stack(whole), np.stack(kept)
    assert channels.shape == (2048, 168)
    assert len(np.unique(channels, axis=0)) > 2 * 168
    lengths = np.linalg.norm(features, axis=1) / np.linalg.norm(channels, axis=1)
    assert 0.5 < lengths.min() <= lengths.max() < 1.5
    matrix = np.linalg.lstsq(channels, features, rcond=None)[0]
    assert np.abs(channels @ matrix - features).max() < 5e-3 * np.abs(features).max()


def test_networks_of_another_stride_are_compared_at_the_same_places(found: Evidence) -> None:
    run = trained()
    run.network.register_forward_hook(coarser)
    other = evidence_of(run)
    assert other.target.places == found.target.places / 4
    np.testing.assert_array_equal(other.target.images, found.target.images)
    assert all(0 <= score <= 1 for each in (EnsV(), Committee()) for score in each.scores([found, other]))


def test_samples_lie_at_the_same_fractions_of_an_image_on_every_grid() -> None:
    grids = [(4, 8), (5, 9), (16, 32), (128, 256)]
    where = []
    for rows, columns in grids:
        gathered = Gathered("target", 3, 1024)
        gathered.take([0, 1, 2], located(rows, columns))
        sampled = gathered.sampled()
        np.testing.assert_array_equal(sampled.features[:, 2], sampled.images)
        where.append(sampled.features[:, :2].astype(np.float64))
    for (rows, columns), there in zip(grids, where, strict=True):
        assert (np.abs(there - where[-1]) <= np.array([0.5 / rows, 0.5 / columns]) + 0.004).all()
    assert len({*map(tuple, where[-1].tolist())}) > 950


def test_large_maps_are_thinned_from_the_middle_of_what_a_place_stands_for() -> None:
    classes = np.random.default_rng(0).integers(0, NUM_CLASSES, (1, 40, 70))
    gathered = Gathered("target", 1, 8)
    logits = functional.one_hot(torch.from_numpy(classes), NUM_CLASSES).permute(0, 3, 1, 2).float()
    gathered.take([0], Prediction(logits, (), logits))
    for row, column in np.ndindex(16, 32):
        at = int((row + 0.5) * 40 / 16), int((column + 0.5) * 70 / 32)
        assert gathered.maps()[0, row, column] == classes[0][at]


@pytest.mark.parametrize(
    ("number", "most", "chosen"),
    [(1, 8, [0]), (3, 8, [0, 1, 2]), (8, 8, [*range(8)]), (9, 3, [0, 4, 8]), (100, 4, [0, 33, 66, 99])],
)
def test_some_of_many_images_are_evenly_spaced(number: int, most: int, chosen: list[int]) -> None:
    assert list(spread(number, most)) == chosen


@pytest.mark.parametrize(("number", "again"), [(1, 1), (7, 7), (20, 8), (60, 10), (250, 32), (3000, 32)])
def test_one_image_in_six_is_predicted_again_and_neither_few_nor_many(number: int, again: int) -> None:
    gathered = Gathered("target", number, 16)
    assert len({*gathered.again}) == again
    assert max(gathered.again) == number - 1


def test_a_split_of_several_batches_leaves_what_single_images_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for rounding, for the noise, which is a batch's, and for mixtures, which are of images of a batch."""
    run = trained(splits_of(20))
    batches = arrays_of(evidence_of(run))
    monkeypatch.setattr("platform.training.evaluation.BATCH", 1)
    single = arrays_of(evidence_of(run))
    for name, array in batches.items():
        if name.startswith(("disturbed", "mixed")):
            continue
        if array.dtype.kind == "f":
            np.testing.assert_allclose(array, single[name], rtol=2e-3, atol=1e-4, err_msg=name)
        elif name == "maps":
            assert (array == single[name]).mean() > 0.99
        else:
            assert np.abs(array.astype(int) - single[name].astype(int)).sum() <= 0.01 * array.sum(), name
    assert len(batches["maps"]) == 20
    assert set(batches["target.images"].tolist()) == set(range(20))


def test_mixtures_of_several_batches_add_up() -> None:
    """Eleven of 66 images are predicted again: four pairs of eight, and one of the three that are left."""
    run = trained(splits_of(66))
    made, chosen = evidence_of(run), pixels_of(run.splits.target_val)[[*spread(66, 11)]]
    above, below = chosen[[0, 2, 4, 6, 8]], chosen[[1, 3, 5, 7, 9]]
    parts = [classes_of(predicted(run, each)).ravel() for each in (above, below, 0.55 * above + 0.45 * below)]
    right = [mixture == one for one, other, mixture in zip(*parts, strict=True) if one != other]
    # A place or two may be of another class by rounding.
    assert abs(int(made.mixed.different[:, 0].sum()) - sum(right)) <= 2
    assert abs(int(made.mixed.different.sum()) - len(right)) <= 2
    assert made.mixed.same.sum() + made.mixed.different.sum() == 5 * 32
    assert made.flipped.counts.sum() == made.zoomed.counts.sum() == made.disturbed.counts.sum() == 11 * 32
    assert made.maps.shape == (48, 16, 32)


# Networks that have gone wrong


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e30, -7e4])
@pytest.mark.parametrize("where", ["all", "one class", "one place"])
def test_numbers_that_are_not_finite_or_large_leave_evidence(value: float, where: str) -> None:
    run = trained()
    at = {"all": ..., "one class": (slice(None), 7), "one place": (0, slice(None), 1, 2)}[where]

    def broken(module: nn.Module, inputs: Any, prediction: Prediction) -> Prediction:
        logits, features = prediction.logits.clone(), prediction.features.clone()
        logits[at], features[at] = value, value  # type: ignore[index]
        return Prediction(logits, (), features)

    run.network.register_forward_hook(broken)
    made = evidence_of(run)
    assert saved(loaded(saved(made))) == saved(made)
    assert made.target.mean.sum() == pytest.approx(1, rel=1e-5)
    assert made.target.predicted.sum() == 96


def test_a_logit_that_is_no_number_is_taken_alike_before_and_after_a_change() -> None:
    """It counts as 0, in mixtures too: nothing here changes with the image."""
    run = trained()

    def broken(module: nn.Module, inputs: Any, prediction: Prediction) -> Prediction:
        logits = torch.zeros_like(prediction.logits)
        logits[:, 2], logits[:, 7] = 3.0, torch.nan
        return Prediction(logits, (), prediction.features)

    run.network.register_forward_hook(broken)
    made = evidence_of(run)
    assert np.unique(made.target.logits[:, 7]).tolist() == [0.0]
    for each in (made.flipped, made.zoomed, made.disturbed):
        assert each.counts[2, 2] == each.counts.sum() == 96
    assert made.mixed.same[2, 2] == made.mixed.same.sum() == 32


# Interruptions, and what is left as it was


def modes(run: TrainingRun) -> dict[str, bool]:
    return {name: module.training for name, module in run.network.named_modules()}


@pytest.mark.parametrize("tested", [False, True])
def test_an_evaluation_can_be_interrupted_after_each_batch(tested: bool) -> None:
    run = trained(splits_of(9))
    run.network.get_submodule("context_path").eval()
    before, expected = modes(run), saved(evidence_of(run))
    batches = 2 + 2 + (2 if tested else 0) + 1  # of source, of target, of its test split, and again
    for last in range(1, batches + 2):
        answers = iter([False] * (last - 1) + [True])
        if last > batches:
            made = evaluation(run, CAMVID_11, tested, partial(next, answers)).evidence
            assert saved(made) == expected
            assert list(answers) == [True]
        else:
            with pytest.raises(Interrupted):
                evaluation(run, CAMVID_11, tested, partial(next, answers))
            assert list(answers) == []
        assert modes(run) == before
    assert set(before.values()) == {True, False}
