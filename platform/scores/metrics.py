"""One 20 x 20 confusion matrix over a whole split, void kept, from which every convention of a score is derived.

A split's matrix is the sum of its images' matrices. IoU is computed on that sum, never averaged over images.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, Integer, UInt8

from platform.shifts.labels import NAMES, NUM_CLASSES, SINGLE_CLASSES, Groups

SIZE = NUM_CLASSES + 1
"""Rows and columns of a confusion matrix: the 19 train ids, then void at index 19."""
Counts = Int64[np.ndarray, "20 20"]
"""Pixels of each (ground truth, prediction): row = ground truth, column = prediction."""

LEFT_OUT: Mapping[int, tuple[str, ...]] = {
    19: (),
    16: ("terrain", "truck", "train"),
    13: ("terrain", "truck", "train", "wall", "fence", "pole"),
}
"""What papers leave out of a mean over Cityscapes' classes, by the number of classes that are left.

SYNTHIA labels 16 of them (Zhang, David, Gong, ICCV 2017); AdaptSegNet compares 13 (Tsai et al., CVPR 2018).
"""


@dataclass(frozen=True)
class Score:
    """What a convention makes of a confusion matrix; fractions in [0, 1]."""

    miou: float
    accuracy: float
    iou: tuple[float, ...]
    """IoU of each group, in the order of the groups."""
    absent: tuple[int, ...]
    """Positions of the groups that the ground truth never holds; IoU 0 where predicted all the same, else nan."""


def confusion(prediction: Integer[np.ndarray, "..."], labels: Integer[np.ndarray, "..."]) -> Counts:
    """Count the pixels of each (ground truth, prediction).

    Both arrays hold train ids and have the same shape; whatever is not in 0..18 counts as void, at index 19.
    Raises ValueError when the shapes differ.
    """
    if prediction.shape != labels.shape:
        raise ValueError(
            f"prediction and labels must have the same shape, got {prediction.shape} and {labels.shape}; "
            "resize the logits to the labels' size before the argmax"
        )
    # The largest cell, 399, fits 16 bits, which halves the traffic of a full-size ground truth.
    cells = _index(labels).astype(np.uint16) * SIZE + _index(prediction)
    return np.bincount(cells.ravel(), minlength=SIZE * SIZE).reshape(SIZE, SIZE)


def cityscapes(confusion: Counts | Sequence[Sequence[int]], groups: Groups = SINGLE_CLASSES) -> Score:
    """Score as Cityscapes does, over pixels that are not void: IoU = TP / (TP + FP + FN), accuracy = correct / all.

    A prediction of any member of a group counts as the group. Ground truth of train ids in no group is void; a
    prediction of such an id, or of void, on an evaluated pixel is an error. A group that the ground truth never holds
    has IoU 0 once it is predicted on an evaluated pixel; else it is nan and left out of the mean. A ground truth that
    cannot hold a class says so by groups without it. Raises ValueError when it holds none of the groups.

    Source: Cordts et al., CVPR 2016, arXiv:1604.01685, and its script evalPixelLevelSemanticLabeling.
    """
    counts = _counts(confusion)
    members = np.zeros((len(groups), SIZE), np.int64)
    for position, group in enumerate(groups):
        members[position, list(group)] = 1

    by_group = members @ counts
    truth = by_group.sum(axis=1)
    if not truth.any():
        raise ValueError(
            "the ground truth holds no pixel of an evaluated class, so there is nothing to score; "
            "check that the labels are train ids and that the shift's groups are the classes they distinguish"
        )
    predicted = members @ by_group.sum(axis=0)
    correct = np.diagonal(by_group @ members.T)
    union = truth + predicted - correct
    iou = np.where(union > 0, correct / np.maximum(union, 1), np.nan)
    return Score(
        miou=float(np.nanmean(iou)),
        accuracy=float(correct.sum() / truth.sum()),
        iou=tuple(iou.tolist()),
        absent=tuple(np.flatnonzero(truth == 0).tolist()),
    )


def miou_over(number: int, score: Score, groups: Groups = SINGLE_CLASSES) -> float:
    """The mean of a score's IoUs over 19, 16 or 13 of Cityscapes' classes; nan where they are no groups of their own.

    All three are means of the same IoUs, as papers have it (Li, Yuan, Vasconcelos, CVPR 2019; Hoyer, Dai, Van Gool,
    CVPR 2022: mIoU over 16 is 19/16 of that over 19 where the IoUs of the other three are 0): an evaluated pixel of a
    class that is left out still is a false positive of the class that it is taken for, and a pixel that is taken for
    one still is a miss of its own class. Where the groups themselves leave classes out, their ground truth is void.
    """
    iou = {NAMES[group[0]]: value for group, value in zip(groups, score.iou, strict=True) if len(group) == 1}
    wanted = [name for name in NAMES if name not in LEFT_OUT[number]]
    known = [iou[name] for name in wanted if not math.isnan(iou.get(name, math.nan))]
    return float(np.mean(known)) if known and iou.keys() >= set(wanted) else math.nan


def original(confusion: Counts | Sequence[Sequence[int]]) -> Score:
    """Score as the original study did, to compare with its published table and for nothing else.

    Departures from `cityscapes`: the mean leaves out the last class, bicycle, as if it were void; accuracy divides by
    all pixels, void ones included; 1e-5 is added to each union, so that an absent class has IoU 0 and stays in the
    mean. Raises ValueError when there are no pixels.
    """
    counts = _counts(confusion)
    if not counts.any():
        raise ValueError("the confusion matrix counts no pixels; score at least one image")
    evaluated = counts[:NUM_CLASSES]
    truth = evaluated.sum(axis=1)
    predicted = evaluated.sum(axis=0)[:NUM_CLASSES]
    correct = np.diagonal(evaluated)
    iou = correct / (truth + predicted - correct + 1e-5)
    return Score(
        miou=float(iou[:-1].mean()),
        accuracy=float(np.trace(counts) / counts.sum()),
        iou=tuple(iou.tolist()),
        absent=tuple(np.flatnonzero(truth == 0).tolist()),
    )


def effective_classes(confusion: Counts | Sequence[Sequence[int]]) -> float:
    """exp(H(p)), p the distribution of the predicted classes over all pixels of a confusion matrix, in [1, 19].

    Ground truth is summed out, so this is not an `oracle/` number.
    """
    predicted = np.asarray(confusion, np.float64).sum(axis=0)
    p = predicted[predicted > 0] / predicted.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def _index(ids: Integer[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    # Read as unsigned, a negative id (Cityscapes' licence plate is -1) is a large one.
    unsigned = ids.astype(f"u{ids.dtype.itemsize}", copy=False)
    index: np.ndarray = np.minimum(unsigned, NUM_CLASSES).astype(np.uint8, copy=False)
    return index


def _counts(confusion: Counts | Sequence[Sequence[int]]) -> Counts:
    counts = np.asarray(confusion, np.int64)
    if counts.shape != (SIZE, SIZE):
        raise ValueError(
            f"a confusion matrix has shape ({SIZE}, {SIZE}), with void at index {NUM_CLASSES}, got {counts.shape}; "
            "make it with platform.scores.metrics.confusion"
        )
    return counts
