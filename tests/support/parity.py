"""A training step beside its equation, which a test writes anew on copies of the same modules."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from platform.methods import Labelled, Unlabelled
from platform.methods.method import SEGMENTATION
from platform.methods.step import Step
from platform.networks.network import Prediction
from platform.shifts.labels import VOID
from platform.shifts.shift import Splits
from platform.training.run import TrainingRun


def in_float64(run: TrainingRun) -> dict[str, Any]:
    """Put a run's modules into float64, and return copies of them by name, on which its next step can be recomputed."""
    for module in run._modules.values():
        module.double()
    return copy.deepcopy(run._modules)


def batches(run: TrainingRun) -> tuple[Labelled, Unlabelled]:
    """The source and the target batch of a run's next step."""
    drawn = run.batches.at(run.step)
    source, target = drawn["source"], drawn["target"]
    assert isinstance(source, Labelled)
    assert isinstance(target, Unlabelled)
    return source, target


def step_of(run: TrainingRun, **changes: Any) -> Step:
    """A run's next step as its one method sees it, the labelled pass made."""
    run._begin()
    step = replace(run._offer(run.batches.at(run.step), 0), **changes)
    step.supervised()
    modules = {name: module for name, module in run._modules.items() if name != SEGMENTATION}
    return step.seen_by(run.methods.reads, modules)


def enlarged(logits: Tensor, like: Tensor) -> Tensor:
    """Logits at the size of images or labels."""
    return functional.interpolate(logits, like.shape[-2:], mode="bilinear", align_corners=False)


def supervised(prediction: Prediction, source: Labelled) -> Tensor:
    """The cross-entropy of the final and of the auxiliary classifiers, each of weight 1."""
    every = [prediction.logits, *prediction.auxiliary]
    losses = [functional.cross_entropy(enlarged(x, source.labels), source.labels, ignore_index=VOID) for x in every]
    return torch.stack(losses).sum()


def assert_step_gives(run: TrainingRun, expected: Mapping[str, nn.Module], tolerance: float = 1e-10) -> None:
    """The next step of a run gives its modules the gradients that these copies hold."""
    run.advance(1)
    for name, module in expected.items():
        own = dict(run._modules[name].named_parameters())
        compared = 0
        for parameter_name, parameter in module.named_parameters():
            gradient, wanted = own[parameter_name].grad, parameter.grad
            assert (gradient is None) == (wanted is None), f"{name}: {parameter_name}"
            if gradient is None or wanted is None:
                continue
            limit = tolerance * max(1.0, float(wanted.abs().max()))
            assert (gradient - wanted).abs().max() <= limit, f"{name}: {parameter_name}"
            compared += 1
        assert compared


def void_source(data: Splits) -> Splits:
    """The same splits, with no class anywhere in the source that is trained on."""
    labels = data.source_train.labels[list(range(len(data.source_train)))]
    return replace(data, source_train=replace(data.source_train, labels=labels * 0 + VOID))
