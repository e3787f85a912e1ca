"""Which of the images that are adapted to a shift grants with their labels: part of every trial's id."""

from dataclasses import replace
from typing import Any

from platform.shifts.shift import DataError, Images, LabelledImages, Splits


def granted(splits: Splits, number: int) -> Splits:
    """The same splits with `few`: this number of the images that are adapted to, evenly spaced, with their labels.

    Raises DataError for more than there are.
    """
    if not number:
        return splits
    if number > len(splits.target_adapt):
        raise DataError(
            f"a shift grants at most the labels of all that is adapted to, {len(splits.target_adapt)} images, "
            f"got {number}; lower `few`"
        )
    chosen = [position * len(splits.target_adapt) // number for position in range(number)]
    adapt = splits.oracle.adapt
    few = LabelledImages(
        Images(adapt.images.pixels[chosen], tuple(adapt.images.names[position] for position in chosen)),
        adapt.labels[chosen],
        tuple(adapt.domains[position] for position in chosen) if adapt.domains else (),
    )
    return replace(splits, few=few)


def check_few(few: Any, most: int | None = None) -> None:
    """Raise ValueError unless `few` is a whole number of images, at most as many as are adapted to, where known."""
    if type(few) is not int or few < 0 or (most is not None and few > most):
        known = "" if most is None else f" and at most the {most} images that are adapted to"
        raise ValueError(
            f"few, the labelled target images that a shift grants, must be a whole number of at least 0{known}, "
            f"got {few!r}; 0 grants none"
        )
