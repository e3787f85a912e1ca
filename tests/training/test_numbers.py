"""The numbers of every method, as they were before: the same weights, bit for bit.

`fixtures/training_numbers.json` is written anew where a change is meant to change the last bits, last when images came
to be normalised, and features fused, in fewer passes; with several sets of a processor's instructions. They add in
different orders, so bits are compared where plain layers of PyTorch give the same bits as with one of them, and values
everywhere.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from platform.methods import FDA, Adversarial, Method, SourceOnly, TargetSupervised
from platform.networks import BiSeNet18
from platform.records.provenance import ROOT
from platform.shifts import town
from platform.training.evaluation import evaluate
from platform.training.run import TrainingRun
from tests.support.arrays import all_of
from tests.support.tiny_splits import state, training_run

BEFORE: dict[str, Any] = json.loads((ROOT / "tests" / "fixtures" / "training_numbers.json").read_text())
STEPS = 20
CONFIGURATIONS: dict[str, tuple[Method, dict[str, Any]]] = {
    "source only": (SourceOnly(), {}),
    "target supervised": (TargetSupervised(), {}),
    "adversarial": (Adversarial(lambda_adv=0.01, width=8), {}),
    "adversarial, separable, ramp": (Adversarial(lambda_adv=0.01, width=8, separable=True, ramp=0.5), {}),
    "FDA": (FDA(beta=0.1), {}),
    "FDA without entropy": (FDA(beta=0.03, entropy_weight=0.0), {}),
    "frozen batch norm": (Adversarial(width=8), {"batch_norm": "frozen"}),
    "source batch norm, crops": (FDA(beta=0.1), {"batch_norm": "source", "augmentation": "flip and crop"}),
    "warm-up, no augmentation": (SourceOnly(), {"warm_up": 0.3, "augmentation": "none", "momentum": 0.0}),
    "halved batches": (Adversarial(width=8), {"batch": 4}),
}


def digest(tensors: Iterable[tuple[str, Tensor]]) -> str:
    hashed = hashlib.sha256()
    for name, tensor in tensors:
        hashed.update(name.encode())
        hashed.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return hashed.hexdigest()[:16]


def arithmetic() -> str:
    """The digest of what a network of plain layers learns in a step: this machine's way to add and multiply."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(3, 8, 7, stride=2, padding=3, bias=False)]
    for inputs, outputs, size, stride in ((8, 8, 3, 1), (8, 16, 1, 2), (16, 32, 3, 2), (32, 64, 3, 2), (64, 19, 3, 1)):
        convolution = nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False)
        layers += [nn.BatchNorm2d(inputs), nn.ReLU(), convolution]
    network = nn.Sequential(*layers, nn.Conv2d(19, 19, 1)).to(memory_format=torch.channels_last)
    logits = functional.interpolate(
        network(torch.rand(2, 3, 32, 64)), size=(32, 64), mode="bilinear", align_corners=False
    )
    loss = functional.cross_entropy(logits, torch.randint(0, 19, (2, 32, 64)))
    loss = loss + torch.rand(33, 65).mm(torch.rand(65, 31)).exp().log().sum() * 1e-6
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [(name, parameter.grad) for name, parameter in network.named_parameters() if parameter.grad is not None]
    return digest([("y", logits), *gradients])


def trained(name: str) -> tuple[TrainingRun, dict[str, float]]:
    """A run of a configuration after 20 steps, and what it noted."""
    method, recipe = CONFIGURATIONS[name]
    run = training_run(method, steps=STEPS, seed=3, network=BiSeNet18(width=0.125), **recipe)
    run.parts = 2 if name == "halved batches" else 1
    return run, run.advance(STEPS)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_twenty_steps_give_the_weights_of_before(name: str) -> None:
    run, noted = trained(name)
    processors = BEFORE["processors"]
    for runs in processors.values():
        # Batch norms of a few pixels make much of the last bit.
        rel, abs_ = (1e-4, 1e-6) if name == "frozen batch norm" else (3e-2, 3e-4)
        assert noted == pytest.approx(runs[name]["noted"], rel=rel, abs=abs_)
    if (here := arithmetic()) not in processors:
        pytest.skip("this processor adds in another order than those that the digests were taken on")
    before = processors[here][name]
    modules = sorted(state(run)["modules"].items())
    weights = [(f"{player}.{key}", value) for player, values in modules for key, value in values.items()]
    assert digest(weights) == before["weights"]
    assert noted == before["noted"]
    confusion = evaluate(run, run.splits.source_val, "source")
    assert int((confusion * np.arange(confusion.size).reshape(confusion.shape)).sum()) == before["confusion"]


def test_the_town_is_the_one_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    splits = town(size=(32, 64), source_images=(3, 1), target_images=(3, 1, 1)).open()
    hashed = hashlib.sha256()
    for split in (splits.source_train, splits.oracle.test):
        hashed.update(all_of(split.images.pixels).tobytes())
        hashed.update(all_of(split.labels).tobytes())
    assert hashed.hexdigest()[:16] == BEFORE["town"]
