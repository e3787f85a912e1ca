"""How far two predictions of the same places agree."""

import numpy as np
from jaxtyping import Integer


def pseudo_miou(counts: Integer[np.ndarray, "19 19"]) -> float:
    """Mean over classes that either predicts of |both| / |either|, from places of each (one, other)."""
    both = np.diagonal(counts).astype(np.float64)
    either = counts.sum(axis=0) + counts.sum(axis=1) - both
    return float((both[either > 0] / either[either > 0]).mean()) if either.any() else 0.0


def share_equal(counts: Integer[np.ndarray, "19 19"]) -> float:
    """The share of places at which both are the same."""
    return float(np.trace(counts) / max(counts.sum(), 1))
