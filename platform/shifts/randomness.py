"""Random draws that are addressed, not streamed.

Every random decision of a trial is a pure function of (seed, purpose, step). A run that is restored at step n therefore
draws what an uninterrupted run draws, with no generator to save, and two arms with the same seed see the same data.
"""

import hashlib

import numpy as np


def derive(*address: str | int) -> int:
    """The 63-bit seed of an address: the leading bits of its SHA-256, so that neighbours are independent."""
    digest = hashlib.sha256(repr(address).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*address: str | int) -> np.random.Generator:
    """A fresh NumPy generator for an address."""
    return np.random.default_rng(derive(*address))
