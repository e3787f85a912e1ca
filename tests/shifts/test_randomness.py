"""Addressed randomness."""

import hashlib
import subprocess
import sys

import numpy as np
import torch

from platform.records.provenance import ROOT
from platform.shifts.randomness import derive, generator


def test_an_address_gives_the_leading_bits_of_its_digest() -> None:
    digest = hashlib.sha256(b"(1, 'labelled', 0)").hexdigest()
    assert derive(1, "labelled", 0) == int(digest, 16) >> (256 - 63)


def test_it_is_the_same_in_every_process() -> None:
    """Unlike `hash`, which Python salts."""
    command = "from platform.shifts.randomness import derive; print(derive(7, 'step', 3))"
    result = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(result.stdout) == derive(7, "step", 3)


def test_neighbours_do_not_collide() -> None:
    addresses = [(seed, purpose, step) for seed in range(20) for purpose in ("step", "players") for step in range(500)]
    assert len({derive(*address) for address in addresses}) == len(addresses)
    assert derive(1, "1") != derive("1", 1)
    assert derive(1, 23) != derive(12, 3)
    assert derive("ab", "c") != derive("a", "bc")


def test_a_seed_is_one_that_torch_and_numpy_take() -> None:
    for step in range(200):
        assert 0 <= derive(0, "step", step) < 2**63
        torch.Generator().manual_seed(derive(0, "step", step))


def test_a_generator_is_fresh() -> None:
    first = generator(1, "order", 2)
    assert np.array_equal(first.permutation(100), generator(1, "order", 2).permutation(100))
    assert not np.array_equal(generator(1, "order", 2).permutation(100), generator(1, "order", 3).permutation(100))


def test_neighbouring_seeds_are_uncorrelated() -> None:
    draws = np.stack([generator(seed, "test").random(400) for seed in range(50)])
    correlations = np.asarray(np.corrcoef(draws))[~np.eye(50, dtype=bool)]
    assert np.abs(correlations).max() < 0.25
    assert abs(draws.mean() - 0.5) < 0.02
