"""Batches that are hard on every method: void, of one image, of one class, and in half precision."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from platform.methods import DACS, Method, RareClassSampling
from platform.methods.method import SEGMENTATION
from platform.shifts.labels import VOID
from tests.support.parity import void_source
from tests.support.shelf import METHODS
from tests.support.tiny_splits import parameters, splits, training_run

ADAPTING = [method for method in METHODS if "source" in method.reads]
every_method = pytest.mark.parametrize("method", ADAPTING, ids=str)


@pytest.mark.parametrize("method", [each for each in ADAPTING if type(each) is not RareClassSampling], ids=str)
def test_where_all_is_void_a_method_goes_on_with_its_own_loss(method: Method) -> None:
    """Nothing of it depends on the source's labels, but what DACS pastes; without a class none can be drawn by it."""
    void, labelled = (training_run(method, data) for data in (void_source(splits()), splits()))
    for run in (void, labelled):
        run.step = 5
    noted, expected = void.advance(1), labelled.advance(1)
    assert noted.pop("loss/cross_entropy") == 0
    assert all(math.isfinite(value) for value in noted.values())
    if not isinstance(method, DACS):
        assert noted == {name: value for name, value in expected.items() if name != "loss/cross_entropy"}
    gradients = [parameter.grad for parameter in void._modules[SEGMENTATION].parameters()]
    own = [value for name, value in noted.items() if name.startswith("loss/")]
    assert any(gradient is not None and gradient.any() for gradient in gradients) == any(own)


@every_method
def test_one_image_is_a_batch_where_batch_norm_is_frozen(method: Method) -> None:
    run = training_run(method, batch_norm="frozen")
    run.parts = 2
    run.step = 5
    assert all(math.isfinite(value) for value in run.advance(1).values())


@every_method
def test_one_class_is_enough(method: Method) -> None:
    """All but one class are absent from the source; half of each image is void."""
    data = splits()
    labels = np.full((len(data.source_train), 32, 64), 11, np.uint8)
    labels[:, :16] = VOID
    run = training_run(method, replace(data, source_train=replace(data.source_train, labels=labels)))
    first = run.advance(3)["loss/cross_entropy"]
    assert run.advance(10)["loss/cross_entropy"] < first


@every_method
def test_half_precision_notes_and_learns_alike(method: Method) -> None:
    half, full = training_run(method, batch=4), training_run(method, batch=4)
    half.arithmetic = replace(half.arithmetic, type=torch.float16)
    half._scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for run in (half, full):
        run.step = 5
    before = parameters(full)
    expected = full.advance(1)
    for name, value in half.advance(1).items():
        assert value == pytest.approx(expected[name], rel=0.1, abs=1e-3), name
    in_half, in_full = (
        torch.cat([(after - before[name]).flatten() for name, after in parameters(run).items()]) for run in (half, full)
    )
    assert torch.nn.functional.cosine_similarity(in_half, in_full, dim=0) > 0.6
