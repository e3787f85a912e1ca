"""What a trial is evaluated on, and by what: the splits and metrics of a report, and the predictions that it keeps."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import UInt8

from platform.methods.batch import unlabelled_batch
from platform.networks.network import Domain, upsample
from platform.records.record import (
    EFFECTIVE_CLASSES,
    ORACLE_ACCURACY,
    ORACLE_MIOU,
    SOURCE_ACCURACY,
    SOURCE_MIOU,
    SOURCE_VAL,
    TARGET_TEST,
    TARGET_VAL,
)
from platform.scores.metrics import SIZE, Counts, cityscapes, confusion, effective_classes
from platform.shifts.labels import Groups
from platform.shifts.shift import LabelledImages, Splits
from platform.training.run import Interrupted, TrainingRun, never

BATCH = 8
"""Images that the network segments at a time."""
KEPT = 4
"""Test images whose predictions a confirm trial keeps."""


def evaluated_splits(splits: Splits, final: bool) -> dict[str, LabelledImages]:
    """The splits of a report by name; the test split is one of the final report's alone."""
    evaluated = {SOURCE_VAL: splits.source_val, TARGET_VAL: splits.oracle.val}
    return evaluated | ({TARGET_TEST: splits.oracle.test} if final else {})


def metrics(confusions: dict[str, Counts], groups: Groups) -> dict[str, float]:
    """The metrics of a report by name, from the confusion matrices of its validation splits."""
    source, target = cityscapes(confusions[SOURCE_VAL], groups), cityscapes(confusions[TARGET_VAL], groups)
    return {
        SOURCE_MIOU: source.miou,
        SOURCE_ACCURACY: source.accuracy,
        ORACLE_MIOU: target.miou,
        ORACLE_ACCURACY: target.accuracy,
        EFFECTIVE_CLASSES: effective_classes(confusions[TARGET_VAL]),
    }


def domain_of(split: str) -> Domain:
    """The domain of the images of a split, by its name."""
    return "source" if split == SOURCE_VAL else "target"


def evaluate(run: TrainingRun, split: LabelledImages, domain: Domain, stopped: Callable[[], bool] = never) -> Counts:
    """The confusion matrix over a whole split of a domain, shape (20, 20), on logits upsampled to the labels' size.

    Raises Interrupted after a batch at which `stopped` says so.
    """
    total = np.zeros((SIZE, SIZE), np.int64)
    for positions, predicted in _predicted(run, split, domain, range(len(split))):
        total += confusion(predicted, split.labels[positions])
        if stopped():
            raise Interrupted
    return total


def predictions(run: TrainingRun, split: LabelledImages) -> dict[str, UInt8[np.ndarray, "number height width ..."]]:
    """Images, truth and prediction of a few images of a target split, evenly spaced, by these names."""
    chosen = np.linspace(0, len(split) - 1, min(KEPT, len(split))).astype(int).tolist()
    return {
        "images": split.images.pixels[chosen],
        "truth": split.labels[chosen],
        "prediction": np.concatenate([predicted for _, predicted in _predicted(run, split, "target", chosen)]),
    }


def _predicted(
    run: TrainingRun, split: LabelledImages, domain: Domain, positions: Sequence[int]
) -> Iterator[tuple[list[int], UInt8[np.ndarray, "batch height width"]]]:
    """Predicted train ids at the labels' size for the images at these positions, batch by batch."""
    size = split.labels.shape[1:]
    for start in range(0, len(positions), BATCH):
        chosen = list(positions[start : start + BATCH])
        logits = run.predict(unlabelled_batch(split.images, chosen).images, domain)
        # One image at a time: 19 classes at full resolution are 160 MB.
        predicted = [upsample(one[None], size).argmax(dim=1).to(torch.uint8) for one in logits]
        yield chosen, torch.cat(predicted).cpu().numpy()
