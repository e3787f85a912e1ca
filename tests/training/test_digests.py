"""One digest of all weights, whichever way a run came there: with a thread that reads ahead, without, or restarted."""

import hashlib

import pytest
import torch

from benchmarks.gpu import WhenAsked
from platform.methods import DACS, FDA, Adversarial, LabTransfer, MinEnt
from platform.methods.composition import Composition
from platform.training.data import batches
from platform.training.run import TrainingRun
from tests.support.tiny_splits import training_run

STEPS = 4
ROWS = [
    Composition((FDA(beta=0.1), Adversarial(width=4))),
    Composition((LabTransfer(), DACS(threshold=0.05), MinEnt())),
]


def new(methods: Composition) -> TrainingRun:
    return training_run(methods, batch=4, augmentation="flip and crop")


def digest(run: TrainingRun) -> str:
    """SHA-256 of all weights and statistics of all players."""
    found = hashlib.sha256()
    for name, module in run._modules.items():
        for key, value in module.state_dict().items():
            found.update(f"{name} {key} {value.dtype} {tuple(value.shape)}".encode())
            found.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("methods", ROWS, ids=lambda methods: methods.name)
def test_weights_are_the_same_with_a_reading_thread_without_and_after_a_restart(
    methods: Composition, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = new(methods)
    first.advance(STEPS // 2)
    saved, midway = first.save({}), digest(first)
    first.advance(STEPS - STEPS // 2)
    assert digest(first) != midway

    restarted = new(methods)
    restarted.restore(saved)
    assert digest(restarted) == midway
    restarted.advance(STEPS - STEPS // 2)

    monkeypatch.setattr(batches, "Ahead", WhenAsked)
    unread = new(methods)
    assert type(unread.batches._ahead).__name__ == "WhenAsked"
    unread.advance(STEPS)
    assert digest(first) == digest(restarted) == digest(unread)
