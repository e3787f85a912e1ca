"""What a trial is evaluated on, and by what: the splits and metrics of a report, its evidence, and the predictions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8

from platform.methods.batch import unlabelled_batch
from platform.networks.network import Domain, Prediction, upsample
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
from platform.scores.evidence import Evidence, group_of
from platform.scores.metrics import SIZE, Counts, cityscapes, confusion, effective_classes
from platform.shifts.labels import Groups
from platform.shifts.shift import Images, LabelledImages
from platform.training.evidence import CHANGES, SOURCE_SAMPLES, TARGET_SAMPLES, Again, Gathered, spread
from platform.training.run import Interrupted, TrainingRun, never

BATCH = 8
"""Images that the network segments at a time."""
KEPT = 4
"""Test images whose predictions a confirm trial keeps."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation finds."""

    confusions: dict[str, Counts]
    """By split; the target's are counted on its labels, which nothing that selects may see."""
    evidence: Evidence
    """What selectors may see."""


def evaluation(run: TrainingRun, groups: Groups, tested: bool, stopped: Callable[[], bool] = never) -> Evaluation:
    """Evaluate on both val splits, and on the target's test split where it is asked for.

    Raises Interrupted after a batch at which `stopped` says so.
    """
    splits = run.splits
    source = Gathered("source", len(splits.source_val), SOURCE_SAMPLES)
    target = Gathered("target", len(splits.target_val), TARGET_SAMPLES)
    confusions = {
        SOURCE_VAL: evaluate(run, splits.source_val, "source", stopped, source),
        TARGET_VAL: evaluate(run, splits.oracle.val, "target", stopped, target),
    }
    if tested:
        confusions[TARGET_TEST] = evaluate(run, splits.oracle.test, "target", stopped)
    return Evaluation(confusions, _evidence(run, groups, confusions[SOURCE_VAL], source, target, stopped))


def _evidence(
    run: TrainingRun,
    groups: Groups,
    source_confusion: Counts,
    source: Gathered,
    target: Gathered,
    stopped: Callable[[], bool],
) -> Evidence:
    """The evidence, after some target images have been predicted again."""
    again, before = Again(), torch.stack(target.kept)
    for start in range(0, len(target.again), BATCH):
        chosen = target.again[start : start + BATCH]
        images = unlabelled_batch(run.splits.target_val, chosen).images.to(run.device)
        again.take(lambda changed: run.predict(changed, "target").logits, images, before[start : start + BATCH])
        if stopped():
            raise Interrupted
    return Evidence(
        group_of=group_of(groups),
        source_confusion=source_confusion,
        source=source.sampled(),
        source_labels=source.labels(),
        target=target.sampled(),
        **{name: again.repeated(name, before) for name in CHANGES},
        mixed=again.mixed(),
        maps=target.maps(),
    )


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


def evaluate(
    run: TrainingRun,
    split: LabelledImages,
    domain: Domain,
    stopped: Callable[[], bool] = never,
    gathered: Gathered | None = None,
) -> Counts:
    """The confusion matrix over a whole split of a domain, shape (20, 20), on logits upsampled to the labels' size.

    What is predicted is handed on to what gathers evidence, with the labels of the source alone. Raises Interrupted
    after a batch at which `stopped` says so.
    """
    total = np.zeros((SIZE, SIZE), np.int64)
    for positions, prediction in _predictions(run, split.images, domain, range(len(split))):
        labels = split.labels[positions]
        total += confusion(_classes(prediction, split), labels)
        if gathered is not None:
            gathered.take(positions, prediction)
            if domain == "source":
                gathered.take_labels(positions, labels, prediction)
        if stopped():
            raise Interrupted
    return total


def predictions(run: TrainingRun, split: LabelledImages) -> dict[str, UInt8[np.ndarray, "number height width ..."]]:
    """Images, truth and prediction of a few images of a target split, evenly spaced, by these names."""
    chosen = spread(len(split), KEPT)
    predicted = [_classes(each, split) for _, each in _predictions(run, split.images, "target", chosen)]
    return {
        "images": split.images.pixels[[*chosen]],
        "truth": split.labels[[*chosen]],
        "prediction": np.concatenate(predicted),
    }


def _predictions(
    run: TrainingRun, images: Images, domain: Domain, positions: Sequence[int]
) -> Iterator[tuple[list[int], Prediction]]:
    """Predictions for the images at these positions, batch by batch."""
    for start in range(0, len(positions), BATCH):
        chosen = list(positions[start : start + BATCH])
        yield chosen, run.predict(unlabelled_batch(images, chosen).images, domain)


def _classes(prediction: Prediction, split: LabelledImages) -> UInt8[np.ndarray, "batch height width"]:
    """Predicted train ids at the size of a split's labels."""
    size = split.labels.shape[1:]
    # One image at a time: 19 classes at full resolution are 160 MB. Its maxima are found three times as fast as by
    # argmax.
    predicted = [upsample(one[None], size).max(dim=1).indices.to(torch.uint8) for one in prediction.logits]
    return torch.cat(predicted).cpu().numpy()
