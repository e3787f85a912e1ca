"""The confusion matrix and both conventions, against sets of pixels and the original study's published table."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from platform.records.provenance import ROOT
from platform.scores import metrics
from platform.shifts.labels import CAMVID_11, CLASSES, NAMES, SINGLE_CLASSES, VOID, Groups, groups

FIXTURE = ROOT / "tests" / "fixtures" / "original_study_confusions.json"

SYNTHIA_16 = tuple((NAMES.index(name),) for name in NAMES if name not in ("terrain", "truck", "train"))
SYNTHIA_13 = tuple(group for group in SYNTHIA_16 if NAMES[group[0]] not in ("wall", "fence", "pole"))


def published(run: str) -> np.ndarray:
    """A run's 20 x 20 matrix; the fixture counts void ground truth in total only, so all of it stands in one cell."""
    entry = json.loads(FIXTURE.read_text())[run]
    counts = np.zeros((20, 20), np.int64)
    counts[:19, :19] = entry["confusion"]
    counts[19, 0] = entry["void_pixels"]
    return counts


def some_pixels(seed: int, classes: tuple[int, ...] = (*range(19), VOID)) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and labels, shape (2, 9, 11), that agree on about half of the pixels."""
    generator = np.random.default_rng(seed)
    labels = generator.choice(np.array(classes, np.uint8), (2, 9, 11))
    other = generator.choice(np.array([*range(19), VOID], np.uint8), labels.shape)
    return np.where(generator.random(labels.shape) < 0.5, labels, other), labels


def by_sets(prediction: np.ndarray, labels: np.ndarray, evaluated: Groups) -> tuple[list[float], float]:
    """IoU of each group and the accuracy, from sets of pixel positions: nothing is shared with the code under test."""
    truth = {group: {p for p, y in np.ndenumerate(labels) if y in group} for group in evaluated}
    valid = set().union(*truth.values())
    predicted = {group: {p for p in valid if prediction[p] in group} for group in evaluated}
    either = {group: truth[group] | predicted[group] for group in evaluated}
    iou = [
        len(truth[group] & predicted[group]) / len(either[group]) if either[group] else math.nan for group in evaluated
    ]
    return iou, sum(len(truth[group] & predicted[group]) for group in evaluated) / len(valid)


def test_confusion_counts_every_pixel_with_the_ground_truth_as_row() -> None:
    prediction, labels = some_pixels(0)
    expected = np.zeros((20, 20), np.int64)
    for p, y in zip(prediction.ravel().tolist(), labels.ravel().tolist(), strict=True):
        expected[min(y, 19), min(p, 19)] += 1
    counts = metrics.confusion(prediction, labels)
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64])
def test_confusion_takes_any_integer_type_and_any_void(dtype: type[np.integer]) -> None:
    void = [255, 19, 200] + ([-1] if np.issubdtype(dtype, np.signedinteger) else [])
    prediction = np.array([3] * len(void) + [4, 18], dtype)
    labels = np.array([*void, 5, 18], dtype)
    counts = metrics.confusion(prediction, labels)
    assert (counts[19, 3], counts[5, 4], counts[18, 18], counts.sum()) == (len(void), 1, 1, len(void) + 2)


def test_confusion_of_a_split_is_the_sum_over_its_images() -> None:
    prediction, labels = some_pixels(1)
    parts = sum(metrics.confusion(p, y) for p, y in zip(prediction, labels, strict=True))
    np.testing.assert_array_equal(metrics.confusion(prediction, labels), parts)


def test_confusion_refuses_arrays_of_different_shapes() -> None:
    with pytest.raises(ValueError, match=r"same shape, got \(2, 3\) and \(3, 2\)"):
        metrics.confusion(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))


@pytest.mark.parametrize("evaluated", [SINGLE_CLASSES, CAMVID_11, SYNTHIA_16, SYNTHIA_13, groups("car+bus")])
@pytest.mark.parametrize("seed", range(5))
def test_cityscapes_agrees_with_sets_of_pixels(seed: int, evaluated: Groups) -> None:
    prediction, labels = some_pixels(seed)
    score = metrics.cityscapes(metrics.confusion(prediction, labels), evaluated)
    iou, accuracy = by_sets(prediction, labels, evaluated)
    assert score.iou == pytest.approx(iou, nan_ok=True)
    assert score.miou == pytest.approx(np.nanmean(iou))
    assert score.accuracy == pytest.approx(accuracy)


def test_a_class_that_is_never_true_is_named_and_counts_where_it_is_predicted() -> None:
    road, sky, train, rider = (NAMES.index(name) for name in ("road", "sky", "train", "rider"))
    labels = np.array([road, road, road, sky, VOID])
    score = metrics.cityscapes(metrics.confusion(np.array([road, road, train, sky, rider]), labels))
    assert score.absent == tuple(sorted(set(range(19)) - {road, sky}))
    assert (score.iou[road], score.iou[sky], score.iou[train]) == (2 / 3, 1.0, 0.0)
    assert math.isnan(score.iou[rider]), "predicted on void only"
    assert score.miou == pytest.approx((2 / 3 + 1 + 0) / 3)
    cannot_hold_it = metrics.cityscapes(
        metrics.confusion(np.array([road, train, sky]), labels[:3]), groups("road", "sky")
    )
    assert cannot_hold_it.absent == (1,)


def official(prediction: np.ndarray, labels: np.ndarray, folder: Path) -> dict[str, Any]:
    """What the script of Cityscapes itself makes of images of train ids, written as the label ids that it wants."""
    script = pytest.importorskip(
        "cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling", reason="make installs it"
    )
    label_ids = np.zeros(256, np.uint8)
    label_ids[:19] = [entry.label_id for entry in CLASSES]
    files: dict[str, list[str]] = {"prediction": [], "truth": []}
    for kind, images in (("prediction", prediction), ("truth", labels)):
        for number, image in enumerate(images):
            files[kind].append(str(folder / f"{kind}{number}.png"))
            Image.fromarray(label_ids[image]).save(files[kind][-1])
    script.args.evalInstLevelScore = script.args.JSONOutput = False
    script.args.quiet = True
    result: dict[str, Any] = script.evaluateImgLists(*files.values(), script.args)
    return result


@pytest.mark.parametrize(
    ("true", "predicted"),
    [
        ((*range(19), VOID), (*range(19), VOID)),
        ((0, 2, 13, VOID), (*range(19), VOID)),
        ((0, 2, 13, VOID), (0, 2, 13)),
        ((0, 2, 13), (1, 3, 14, VOID)),
        ((5,), (5,)),
        ((5, VOID), (5, 6)),
    ],
)
def test_cityscapes_is_the_official_script(true: tuple[int, ...], predicted: tuple[int, ...], tmp_path: Path) -> None:
    generator = np.random.default_rng(len(true) + len(predicted))
    labels = generator.choice(np.array(true, np.uint8), (3, 20, 30))
    other = generator.choice(np.array(predicted, np.uint8), labels.shape)
    prediction = np.where(generator.random(labels.shape) < 0.5, labels, other)
    ours, theirs = metrics.cityscapes(metrics.confusion(prediction, labels)), official(prediction, labels, tmp_path)
    assert ours.miou == pytest.approx(theirs["averageScoreClasses"], abs=1e-9)
    expected = [theirs["classScores"][name] for name in NAMES]
    assert ours.iou == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_a_member_of_the_group_is_right_and_an_id_of_no_group_is_wrong() -> None:
    evaluated = groups("vegetation+terrain", "sky")
    vegetation, terrain, sky, rider = (NAMES.index(name) for name in ("vegetation", "terrain", "sky", "rider"))
    labels = np.array([vegetation, terrain, sky, sky, sky, rider])
    prediction = np.array([terrain, terrain, sky, rider, VOID, sky])
    score = metrics.cityscapes(metrics.confusion(prediction, labels), evaluated)
    # The ground truth of rider is void here; rider and void where sky is are two misses of sky, no group's false alarm.
    assert score.iou == (1.0, 1 / 3)
    assert score.accuracy == 3 / 5


def test_a_perfect_prediction_scores_one() -> None:
    _, labels = some_pixels(0)
    score = metrics.cityscapes(metrics.confusion(labels, labels), CAMVID_11)
    assert (score.miou, score.accuracy, score.absent) == (1.0, 1.0, ())


def test_cityscapes_refuses_a_ground_truth_without_an_evaluated_pixel() -> None:
    labels = np.full((2, 2), VOID, np.uint8)
    with pytest.raises(ValueError, match=r"nothing to score; check .* train ids"):
        metrics.cityscapes(metrics.confusion(labels, labels))


@pytest.mark.parametrize("seed", range(5))
def test_original_agrees_with_a_count_of_pixels(seed: int) -> None:
    prediction, labels = some_pixels(seed, classes=(*range(17), VOID))
    iou = []
    for entry in range(19):
        valid = [(p, y) for p, y in zip(prediction.ravel(), labels.ravel(), strict=True) if y != VOID]
        both = sum(p == entry and y == entry for p, y in valid)
        either = sum(p == entry or y == entry for p, y in valid)
        iou.append(both / (either + 1e-5))
    score = metrics.original(metrics.confusion(prediction, labels))
    assert score.iou == pytest.approx(iou)
    assert score.miou == pytest.approx(sum(iou[:18]) / 18)
    assert score.accuracy == pytest.approx((prediction == labels).mean())
    assert score.absent == (17, 18)
    assert score.iou[17] == 0


def test_original_refuses_a_matrix_without_pixels() -> None:
    with pytest.raises(ValueError, match="counts no pixels"):
        metrics.original(np.zeros((20, 20), np.int64))


@pytest.mark.parametrize("convention", [metrics.cityscapes, metrics.original])
def test_a_matrix_without_its_void_row_is_refused(convention: Callable[[npt.ArrayLike], metrics.Score]) -> None:
    with pytest.raises(ValueError, match=r"shape \(20, 20\), with void at index 19, got \(19, 19\)"):
        convention(np.ones((19, 19), np.int64).tolist())


def test_a_matrix_from_a_record_scores_like_the_array() -> None:
    assert metrics.original(published("FDA").tolist()) == metrics.original(published("FDA"))


@pytest.mark.parametrize(
    ("run", "accuracy", "miou"),
    [("BASE", 0.788, 0.454), ("DA", 0.593, 0.216), ("DA_LIGHT", 0.649, 0.227), ("FDA", 0.638, 0.235)],
)
def test_original_gives_the_published_table(run: str, accuracy: float, miou: float) -> None:
    score = metrics.original(published(run))
    assert (round(score.accuracy, 3), round(score.miou, 3)) == (accuracy, miou)


@pytest.mark.parametrize(
    ("run", "accuracy", "miou"),
    [("BASE", 0.9025, 0.4557), ("DA", 0.6799, 0.2048), ("DA_LIGHT", 0.7434, 0.2152), ("FDA", 0.7307, 0.2228)],
)
def test_cityscapes_gives_the_corrected_table(run: str, accuracy: float, miou: float) -> None:
    score = metrics.cityscapes(published(run))
    assert (round(score.accuracy, 4), round(score.miou, 4)) == (accuracy, miou)


@pytest.mark.parametrize(
    ("run", "mean_of_16", "mean_of_13"),
    [("BASE", 0.4974, 0.5583), ("DA", 0.2338, 0.2700), ("DA_LIGHT", 0.2440, 0.2795), ("FDA", 0.2507, 0.2857)],
)
def test_means_over_some_of_19_classes_differ_from_evaluating_those_classes_only(
    run: str, mean_of_16: float, mean_of_13: float
) -> None:
    """A mean of 16 of the 19 IoUs still counts what the other three classes' pixels were taken for; groups do not."""
    score = metrics.cityscapes(published(run))
    assert metrics.miou_over(19, score) == pytest.approx(score.miou, abs=1e-15)
    for number, evaluated, expected in ((16, SYNTHIA_16, mean_of_16), (13, SYNTHIA_13, mean_of_13)):
        mean = metrics.miou_over(number, score)
        assert round(mean, 4) == expected
        assert metrics.cityscapes(published(run), evaluated).miou > mean


@pytest.mark.parametrize("seed", range(5))
def test_a_mean_over_some_classes_agrees_with_sets_of_pixels(seed: int) -> None:
    prediction, labels = some_pixels(seed, classes=(*range(17), VOID))
    iou, _ = by_sets(prediction, labels, SINGLE_CLASSES)
    score = metrics.cityscapes(metrics.confusion(prediction, labels))
    for number, evaluated in ((16, SYNTHIA_16), (13, SYNTHIA_13)):
        assert len(evaluated) == number
        expected = np.nanmean([iou[member] for (member,) in evaluated])
        assert metrics.miou_over(number, score) == pytest.approx(expected)


def test_pixels_of_a_class_that_a_mean_leaves_out_count_against_what_they_are_taken_for() -> None:
    road, vegetation, terrain = (NAMES.index(name) for name in ("road", "vegetation", "terrain"))
    labels = np.array([road, road, road, road, vegetation, terrain])
    prediction = np.array([road, road, road, terrain, vegetation, vegetation])
    score = metrics.cityscapes(metrics.confusion(prediction, labels))
    assert metrics.miou_over(16, score) == pytest.approx((3 / 4 + 1 / 2) / 2), "a miss of road, a false vegetation"
    void = metrics.cityscapes(metrics.confusion(prediction, labels), SYNTHIA_16)
    assert metrics.miou_over(16, void, SYNTHIA_16) == pytest.approx((3 / 4 + 1) / 2), "terrain is void by its groups"


def test_the_mean_over_16_is_19_of_16_of_that_over_19_where_the_other_three_are_never_right() -> None:
    counts = np.asarray(json.loads(FIXTURE.read_text())["FDA"]["confusion"], np.int64)
    for name in ("terrain", "truck", "train"):
        counts[NAMES.index(name), NAMES.index(name)] = 0
    score = metrics.cityscapes(np.pad(counts, (0, 1)))
    assert metrics.miou_over(16, score) == pytest.approx(19 / 16 * metrics.miou_over(19, score))


@pytest.mark.parametrize(
    ("evaluated", "known"),
    [(CAMVID_11, ()), (SYNTHIA_16, (16, 13)), (SYNTHIA_13, (13,)), (SINGLE_CLASSES, (19, 16, 13))],
)
def test_a_mean_needs_groups_that_tell_its_classes_apart(evaluated: Groups, known: tuple[int, ...]) -> None:
    score = metrics.cityscapes(published("FDA"), evaluated)
    means = {number: metrics.miou_over(number, score, evaluated) for number in metrics.LEFT_OUT}
    assert tuple(number for number, mean in means.items() if not math.isnan(mean)) == known
    if known:
        assert means[known[0]] == pytest.approx(score.miou)


def test_per_class_iou_of_the_supervised_run() -> None:
    percent = [round(100 * value, 1) for value in metrics.cityscapes(published("BASE")).iou]
    assert percent == [
        *(94.8, 64.2, 83.5, 16.8, 24.2, 29.1, 28.9, 45.0, 86.0, 50.6),
        *(88.2, 52.4, 24.9, 81.9, 10.3, 15.9, 9.0, 11.2, 48.9),
    ]
