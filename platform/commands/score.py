"""Score predicted label images against ground truth, and print the result as JSON.

usage: python -m platform.score PREDICTIONS LABELS [--convention cityscapes|original] [--ids train|label]

Both folders hold 8-bit PNG files, grey or paletted: the grey value or palette
index is the id, 255 is void. Names that end in `_labelIds` or `_labelTrainIds`,
as Cityscapes' do, say which ids these are; of all others `--ids` does.

Files are paired by their path below the folder without these endings, `.png`
and `_leftImg8bit`, or by their names alone where these are the same. Against a
ground truth named as Cityscapes names it, predictions may lie anywhere in their
folder, as in a submission: their names begin with the frame's,
`CITY_123456_123456`. Colours, instance ids, and one kind of ids where a folder
holds both, are not read. Printed:

    miou, accuracy   fractions in [0, 1]
    iou              by class name; null for a class that is neither in the
                     ground truth nor predicted on its evaluated pixels, and
                     left out of the mean (under `original` its IoU is 0 and
                     counts, but the mean leaves out bicycle)
    images           the number of pairs
    pixels           the pixels that accuracy is a fraction of: those that are
                     not void, under `original` all
"""

import argparse
import json
import math
import os
import re
import textwrap
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from platform.commands.exits import COMPLETE, EPILOG, Parser, bad_input, ending, say
from platform.scores.metrics import SIZE, cityscapes, confusion, original
from platform.shifts.files.codings import LABEL_IDS, TRAIN_IDS, Coding, Spread, likeliest
from platform.shifts.files.images import Pair, pair
from platform.shifts.files.label_images import LABEL_ENDINGS, Ids, ids_of, kind_of, read_ids, to_train_ids
from platform.shifts.files.listing import LeftOut, Listing, listed
from platform.shifts.labels import NAMES, NUM_CLASSES

FRAME = re.compile(r"[^_/]+_\d{6}_\d{6}(?!\d)")
"""What the names of Cityscapes' files begin with."""
OTHER: dict[Ids, Ids] = {"train": "label", "label": "train"}
CODINGS: dict[Ids, Coding] = {"train": TRAIN_IDS, "label": LABEL_IDS}
ID_ENDINGS: dict[Ids, str] = {"train": "_labelTrainIds.png", "label": "_labelIds.png"}
"""What the names end in that say which ids a file holds."""


class Folder(NamedTuple):
    """The label images of a folder by the names that pair them, and the ids that they hold."""

    listing: Listing
    ids: Ids
    named: bool
    """Whether all files' names say which ids these are."""


def score(predictions: Path, labels: Path, convention: str, ids: Ids) -> dict[str, Any]:
    """Score two folders, one pair of images in memory at a time; raises ValueError naming the file that is wrong."""
    predicted, truth = label_images(predictions, ids), label_images(labels, ids)
    pairs = _paired(predicted.listing, truth.listing)
    counts = np.zeros((SIZE, SIZE), np.int64)
    spreads = [
        Spread(folder.listing.folder, CODINGS[folder.ids], predicted=folder is predicted)
        for folder in (predicted, truth)
    ]
    # Of predicted train ids the range tells all, and it is looked at anyway.
    judged = [folder is truth or folder.ids == "label" for folder in (predicted, truth)]
    for each in pairs:
        read: list[np.ndarray] = []
        for folder, spread, judge, path in zip((predicted, truth), spreads, judged, each[1:], strict=True):
            values = read_ids(path)
            read.append(_train_ids(values, folder, path))
            if judge:
                spread.add(path, np.bincount(values.ravel(), minlength=256))
        counts += _confusion(each, *read)
    for folder, spread in zip((predicted, truth), spreads, strict=True):
        spread.check(partial(_remedy, folder), note)
    if predictions.resolve() == labels.resolve():
        note(f"{predictions} and {labels} are the same folder: every pixel is right")
    result = cityscapes(counts) if convention == "cityscapes" else original(counts)
    for folder in (predicted, truth):
        _tell(folder, ids)
    return {
        "miou": result.miou,
        "accuracy": result.accuracy,
        "iou": {name: None if math.isnan(iou) else iou for name, iou in zip(NAMES, result.iou, strict=True)},
        "images": len(pairs),
        "pixels": int(counts[:NUM_CLASSES].sum() if convention == "cityscapes" else counts.sum()),
    }


def label_images(folder: Path, ids: Ids) -> Folder:
    """The label images of a folder and its subfolders; of the other ids, where their names say that all are."""
    if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises where a folder cannot be entered
        raise ValueError(f"{folder} is not a folder; name the folder that holds the label images")
    listing, kind = listed(folder, LABEL_ENDINGS, partial(_sorted, ids=ids)), ids
    if not listing.files:
        others = listed(folder, LABEL_ENDINGS, partial(_sorted, ids=OTHER[ids]))
        if others.files:
            listing, kind = others, OTHER[ids]
    listing.require(1, f"label images, PNG files of {ids} ids")
    return Folder(listing, kind, named=all(kind_of(path.stem)[1] for path in listing.files.values()))


@ending()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    description, _, details = (__doc__ or "").partition("\n\n")
    parser = Parser(
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
        "--ids",
        choices=("train", "label"),
        default="train",
        help="the ids of files whose names do not say (default: train)",
    )
    options = parser.parse_args(arguments)
    with bad_input():
        result = score(options.predictions, options.labels, options.convention, options.ids)
    print(json.dumps(result, indent=2, allow_nan=False))
    return COMPLETE


def _sorted(name: str, ids: Ids) -> str | LeftOut:
    stem, ending = kind_of(name)
    if ending and ids_of(ending) != ids:
        return LeftOut(f"*{ending}")
    return stem.removesuffix("_leftImg8bit")


def _paired(predictions: Listing, truth: Listing) -> list[Pair]:
    """Pairs by path; where paths differ, by Cityscapes' frames if the ground truth is of frames, else by own names."""
    if predictions.files.keys() == truth.files.keys():
        return pair(predictions.files, truth.files)
    if all(FRAME.fullmatch(Path(name).name) for name in truth.files):
        predictions, truth = _by_frame(predictions), _by_frame(truth)
    elif (flat := (predictions.flat(), truth.flat()))[0].files.keys() == flat[1].files.keys():
        predictions, truth = flat
    return pair(predictions.files, truth.files)


def _by_frame(listing: Listing) -> Listing:
    frames = Listing(listing.folder)
    for name, path in listing.files.items():
        frame = FRAME.match(Path(name).name)
        frames.add(frame[0] if frame else name, path)
    return frames


def _tell(folder: Folder, ids: Ids) -> None:
    """Say what of a folder was left out, and where its names have the last word on its ids."""
    if folder.ids != ids:
        note(f"{folder.listing.folder}: read as {folder.ids} ids, as the names of its files say")
    folder.listing.tell(note)


def note(line: str) -> None:
    """Say what the numbers do not show."""
    say(f"note: {line}")


def _train_ids(values: np.ndarray, folder: Folder, path: Path) -> np.ndarray:
    try:
        return to_train_ids(values, folder.ids, path)
    except ValueError as error:
        coding = likeliest(np.bincount(values.ravel(), minlength=256), CODINGS[folder.ids], predicted=True)
        if coding is TRAIN_IDS:
            coding = LABEL_IDS  # too few pixels for more than a guess
        raise ValueError(f"{error}; {_remedy(folder, coding)}") from error


def _remedy(folder: Folder, coding: Coding) -> str:
    """What helps where files hold other ids than they are read as."""
    other = OTHER[folder.ids]
    if coding is not CODINGS[other]:
        return f"convert these files to {folder.ids} ids"
    if folder.named:
        return f"the files are named *{ID_ENDINGS[folder.ids]}: give them the names of what they hold, or convert them"
    return f"use --ids {other}, or end the names of files of {other} ids in {ID_ENDINGS[other]}"


def _confusion(files: Pair, prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    if prediction.shape != truth.shape:
        raise ValueError(
            f"{files.image} must have the size of {files.labels}, {truth.shape[1]} x {truth.shape[0]}, "
            f"got {prediction.shape[1]} x {prediction.shape[0]}; predict at the ground truth's resolution"
        )
    return confusion(prediction, truth)
