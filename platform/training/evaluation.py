"""What a trial is evaluated on, and by what: the splits and metrics of a report, its evidence, and the predictions."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, UInt8
from torch import Tensor

from platform.networks.network import Domain, Prediction
from platform.networks.operations.upsampling import upsample
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
from platform.shifts.labels import NUM_CLASSES, Groups
from platform.shifts.shift import Arrays, Images, LabelledImages, Pixels
from platform.training.data.ahead import Ahead
from platform.training.data.batches import Unsuited
from platform.training.evidence import CHANGES, SOURCE_SAMPLES, TARGET_SAMPLES, Again, Gathered, spread, thinned
from platform.training.run import Interrupted, TrainingRun, never
from platform.training.steps.passes import RECALIBRATED

BATCH = 8
"""Images that the network segments at a time."""
RECALIBRATING = 256
"""Target images that batch norm's statistics are taken from anew, at most."""
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


def recalibrated(run: TrainingRun, stopped: Callable[[], bool] = never) -> AbstractContextManager[None]:
    """Have what is deployed normalise by the target's statistics meanwhile, where a recipe of what trains says so.

    Raises Interrupted after a batch at which `stopped` says so, and Unsuited for a target of one image.
    """
    if run.recipe.batch_norm != RECALIBRATED or not run.methods.reads:
        return nullcontext()
    images = run.splits.target_adapt
    if len(images) < 2:
        raise Unsuited('batch_norm="target" needs two images to adapt to, got one; take another batch_norm')

    def batches() -> Iterator[Float32[Tensor, "batch 3 height width"]]:
        for positions, pixels, _ in _batches(images, None, spread(len(images), RECALIBRATING)):
            # Of one image batch norm cannot normalise maps of one pixel.
            if len(positions) > 1:
                yield _numbers(pixels, run.device)
            if stopped():
                raise Interrupted

    return run.recalibrated(batches())


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
    for number, (_, pixels, _) in enumerate(_batches(run.splits.target_val, None, target.again)):
        known = before[number * BATCH : (number + 1) * BATCH]
        again.take(lambda changed: _logits(run, changed), _numbers(pixels, run.device), known)
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


def _logits(
    run: TrainingRun, images: Float32[Tensor, "batch 3 height width"]
) -> Float[Tensor, "batch 19 rows columns"]:
    return thinned(run.predict(images, "target"), images.shape[2:]).logits


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
    for positions, pixels, labels in _batches(split.images, split.labels, range(len(split))):
        prediction = run.predict(_numbers(pixels, run.device), domain)
        total += _counted(_classes(prediction, labels.shape[1:]), labels)
        if gathered is not None:
            seen = thinned(prediction, pixels.shape[1:3])
            gathered.take(positions, seen)
            if domain == "source":
                gathered.take_labels(positions, labels, seen)
        if stopped():
            raise Interrupted
    return total


def predictions(run: TrainingRun, split: LabelledImages) -> dict[str, UInt8[np.ndarray, "number height width ..."]]:
    """Images, truth and prediction of a few images of a target split, evenly spaced, by these names."""
    chosen = spread(len(split), KEPT)
    pixels, labels = split.images.pixels[[*chosen]], split.labels[[*chosen]]
    predicted = _classes(run.predict(_numbers(pixels, run.device), "target"), labels.shape[1:])
    return {"images": pixels, "truth": labels, "prediction": predicted.cpu().numpy()}


def _batches(
    images: Images, labels: Arrays | None, positions: Sequence[int]
) -> Iterator[tuple[list[int], Pixels, Pixels]]:
    """Positions, images and labels, batch by batch, the next of which is read meanwhile; no labels are empty ones."""
    batches = [list(positions[start : start + BATCH]) for start in range(0, len(positions), BATCH)]

    def read(number: int) -> tuple[list[int], Pixels, Pixels]:
        chosen = batches[number]
        return chosen, images.pixels[chosen], np.empty(0, np.uint8) if labels is None else labels[chosen]

    ahead = Ahead(read, len(batches))
    for number in range(len(batches)):
        yield ahead.at(number)


def _numbers(pixels: Pixels, device: torch.device) -> Float32[Tensor, "batch 3 height width"]:
    """Images as networks take them: sent as bytes, since numbers are four times as many."""
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float()


def _counted(prediction: UInt8[Tensor, "batch height width"], labels: Pixels) -> Counts:
    """The confusion matrix of predictions, counted where they are: from a GPU 400 numbers come back, and no image."""
    if prediction.device.type == "cpu":
        return confusion(prediction.numpy(), labels)
    return counted(prediction, torch.from_numpy(labels).to(prediction.device)).cpu().numpy()


def counted(
    prediction: UInt8[Tensor, "batch height width"], labels: UInt8[Tensor, "batch height width"]
) -> Int64[Tensor, "20 20"]:
    """What `platform.scores.metrics.confusion` counts, by operations of a device."""
    truth, predicted = (each.clamp(max=NUM_CLASSES).long() for each in (labels, prediction))
    return torch.bincount((truth * SIZE + predicted).flatten(), minlength=SIZE * SIZE).view(SIZE, SIZE)


def _classes(prediction: Prediction, size: tuple[int, ...]) -> UInt8[Tensor, "batch height width"]:
    """Predicted train ids at a size."""
    # One image at a time: 19 classes at full resolution are 160 MB. Its maxima are found three times as fast as by
    # argmax.
    predicted = [upsample(one[None], size).max(dim=1).indices.to(torch.uint8) for one in prediction.logits]
    return torch.cat(predicted)
