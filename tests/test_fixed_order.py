"""The operations with a fixed order on CUDA, against PyTorch's list of those without; and methods that have none."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from platform.methods import SEGMENTATION, Method, Step
from platform.methods.composition import Composition
from tests.support.fixed_order import (
    FIXED_ORDER,
    WITH_REASON,
    check_fixed_order,
    is_named_by_pytorch,
    named_by_pytorch,
)
from tests.support.operations import operations_of
from tests.support.tiny_splits import training_run


def test_what_pytorch_names_is_allowed_for_a_reason_alone() -> None:
    assert not {name for name in FIXED_ORDER if is_named_by_pytorch(name)}
    assert {name for name in WITH_REASON if not is_named_by_pytorch(name)} == set()


def test_pytorch_names_what_it_is_known_to() -> None:
    """Else its documentation is written otherwise than the test reads it."""
    assert len(named_by_pytorch()) > 35
    for name in (
        "grid_sampler_2d_backward",
        "index_add_",
        "index_put",
        "_index_put_impl_",
        "upsample_bilinear2d_backward",
        "scatter_reduce",
        "nll_loss2d_forward",
        "_adaptive_avg_pool2d_backward",
        "replication_pad2d_backward",
        "histc",
        "put_",
    ):
        assert is_named_by_pytorch(f"aten::{name}")
        assert f"aten::{name}" not in FIXED_ORDER | WITH_REASON.keys()


@dataclass(frozen=True, kw_only=True)
class Sampled(Method):
    """Of predictions on the target, some places."""

    def losses(self, step: Step) -> Mapping[str, Tensor]:
        logits = step.target_prediction.logits
        grid = torch.zeros(len(logits), 2, 2, 2)
        return {SEGMENTATION: functional.grid_sample(logits, grid, align_corners=False).mean()}


@dataclass(frozen=True, kw_only=True)
class AddedUp(Method):
    """Predictions on the target, added up by an index."""

    def losses(self, step: Step) -> Mapping[str, Tensor]:
        logits = step.target_prediction.logits
        return {SEGMENTATION: torch.zeros_like(logits).index_add(1, torch.zeros(19, dtype=torch.long), logits).mean()}


@pytest.mark.parametrize(
    ("method", "operation"),
    [(Sampled(), "aten::grid_sampler_2d_backward"), (AddedUp(), "aten::index_add")],
    ids=["grid_sample", "index_add"],
)
def test_a_method_that_adds_up_in_any_order_is_told_by_which_operation(method: Method, operation: str) -> None:
    run = training_run(method)
    run.advance(1)
    with pytest.raises(AssertionError, match=rf"a step of {type(method).__name__} takes .*{operation}, "):
        check_fixed_order(Composition((method,)), operations_of(run._take_step))
