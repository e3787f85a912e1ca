"""The arrays of a split in memory, to be looked at as a whole."""

from platform.shifts.shift import Arrays, Pixels


def all_of(arrays: Arrays) -> Pixels:
    """All of them."""
    return arrays[list(range(len(arrays)))]
