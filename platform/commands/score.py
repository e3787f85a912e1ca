"""Score predicted label images against ground truth, and print the result as JSON.

usage: python -m platform.score PREDICTIONS LABELS [--convention cityscapes|original] [--ids train|label]

Both folders hold 8-bit PNG files, grey or paletted: the grey value or palette
index is the id, 255 is void. Files are paired by their path below the folder
without `.png`, and without Cityscapes' endings `_leftImg8bit`,
`_gtFine_labelIds` and `_gtFine_labelTrainIds`; Cityscapes' other ground truths
(colours, instance ids, the ids not asked for) are not read. Printed:

    miou, accuracy   fractions in [0, 1]
    iou              by class name; null for a class that the ground truth
                     never holds, which is left out of the mean (under
                     `original` its IoU is 0 and counts, but the mean leaves
                     out bicycle)
    images           the number of pairs
    pixels           the pixels that accuracy is a fraction of: those that are
                     not void, under `original` all
"""

import argparse
import json
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from platform.commands.exits import COMPLETE, EPILOG, bad_input, ending
from platform.scores.metrics import SIZE, cityscapes, confusion, original
from platform.shifts.images import Ids, Pair, pair, read_labels
from platform.shifts.labels import NAMES, NUM_CLASSES

ENDINGS = {"train": "_gtFine_labelTrainIds", "label": "_gtFine_labelIds"}
OTHER_TRUTHS = ("_gtFine_color", "_gtFine_instanceIds", "_gtFine_instanceTrainIds")


def score(predictions: Path, labels: Path, convention: str, ids: Ids) -> dict[str, Any]:
    """Score two folders, one pair of images in memory at a time; raises ValueError naming the file that is wrong."""
    pairs = pair(label_images(predictions, ids), label_images(labels, ids))
    counts = np.zeros((SIZE, SIZE), np.int64)
    for each in pairs:
        counts += _confusion(each, ids)
    result = cityscapes(counts) if convention == "cityscapes" else original(counts)
    return {
        "miou": result.miou,
        "accuracy": result.accuracy,
        "iou": {name: None if math.isnan(iou) else iou for name, iou in zip(NAMES, result.iou, strict=True)},
        "images": len(pairs),
        "pixels": int(counts[:NUM_CLASSES].sum() if convention == "cityscapes" else counts.sum()),
    }


def label_images(folder: Path, ids: Ids) -> dict[str, Path]:
    """The label images of a folder and its subfolders, by the name that pairs them."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; name the folder that holds the label images")
    skipped = (*OTHER_TRUTHS, *(ending for kind, ending in ENDINGS.items() if kind != ids))
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.png")):
        if path.stem.endswith(skipped):
            continue
        stem = path.stem.removesuffix("_leftImg8bit").removesuffix(ENDINGS[ids])
        name = path.relative_to(folder).with_name(stem).as_posix()
        if name in found:
            raise ValueError(f"{found[name]} and {path} have the same name, {name!r}; keep one of them")
        found[name] = path
    if not found:
        for kind, ending in ENDINGS.items():
            if number := len(list(folder.rglob(f"*{ending}.png"))):
                raise ValueError(f"{folder} holds {number} ...{ending}.png; use --ids {kind}")
        raise ValueError(f"{folder} holds no label images; they are PNG files of {ids} ids")
    return found


@ending()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    description, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m platform.score",
        description=description,
        epilog=details.partition("\n\n")[2] + "\n" + textwrap.fill(f"exit codes: 0 done, {EPILOG}", 80),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("predictions", type=Path, metavar="PREDICTIONS", help="folder of predicted label images")
    parser.add_argument("labels", type=Path, metavar="LABELS", help="folder of ground truth")
    parser.add_argument(
        "--convention", choices=("cityscapes", "original"), default="cityscapes", help="see below (default: cityscapes)"
    )
    parser.add_argument(
        "--ids", choices=("train", "label"), default="train", help="what both folders hold (default: train)"
    )
    options = parser.parse_args(arguments)
    with bad_input():
        result = score(options.predictions, options.labels, options.convention, options.ids)
    print(json.dumps(result, indent=2, allow_nan=False))
    return COMPLETE


def _confusion(files: Pair, ids: Ids) -> np.ndarray:
    prediction, truth = read_labels(files.image, ids), read_labels(files.labels, ids)
    if prediction.shape != truth.shape:
        raise ValueError(
            f"{files.image} must have the size of {files.labels}, {truth.shape[1]} x {truth.shape[0]}, "
            f"got {prediction.shape[1]} x {prediction.shape[0]}; predict at the ground truth's resolution"
        )
    return confusion(prediction, truth)
