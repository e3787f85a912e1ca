"""Selectors by labels of the source, counted pixel by pixel."""

import numpy as np
import pytest

from platform.scores.metrics import confusion
from platform.scores.selectors.source import SourceAccuracy, SourceMIoU
from platform.shifts.labels import CAMVID_11, SINGLE_CLASSES, VOID, Groups, groups
from tests.support.made_evidence import evidence, random_logits, sampled


@pytest.mark.parametrize("evaluated", [SINGLE_CLASSES, CAMVID_11, groups("car+bus", "road")], ids=len)
def test_source_scores_are_counted_over_pixels_of_evaluated_groups(evaluated: Groups) -> None:
    random = np.random.default_rng(0)
    labels = random.choice(np.array([*range(19), VOID], np.uint8), 400)
    predicted = np.where(random.random(400) < 0.6, labels, random.integers(0, 19, 400)).astype(np.uint8)
    predicted[predicted == VOID] = 0
    of_group = {member: number for number, members in enumerate(evaluated) for member in members}
    pixels = [(of_group[y], of_group.get(p)) for y, p in zip(labels.tolist(), predicted.tolist(), strict=True)
              if y in of_group]  # fmt: skip
    iou = []
    for number in range(len(evaluated)):
        both = sum(y == p == number for y, p in pixels)
        iou.append(both / sum(number in pixel for pixel in pixels))
    made = evidence(source_confusion=confusion(predicted, labels), groups=evaluated)
    assert made.groups == evaluated
    assert SourceMIoU().score(made) == pytest.approx(sum(iou) / len(iou), rel=1e-12)
    assert SourceAccuracy().score(made) == pytest.approx(sum(y == p for y, p in pixels) / len(pixels), rel=1e-12)


def test_source_scores_see_nothing_of_the_target() -> None:
    one, other = evidence(), evidence(target=sampled(random_logits(40, 9)))
    assert SourceMIoU().score(one) == SourceMIoU().score(other)
    assert SourceAccuracy().score(one) == SourceAccuracy().score(other)


def test_the_prior_is_the_share_of_each_class_in_labels_of_an_evaluated_class() -> None:
    labels = np.array([0] * 6 + [5] * 3 + [18] + [VOID] * 7, np.uint8)
    prior = evidence(source_confusion=confusion(np.full(17, 2, np.uint8), labels)).source_prior
    assert {number: share for number, share in enumerate(prior.tolist()) if share} == {0: 0.6, 5: 0.3, 18: 0.1}


def test_a_source_without_labels_has_no_prior() -> None:
    assert not evidence(source_confusion=np.zeros((20, 20), np.int64)).source_prior.any()
