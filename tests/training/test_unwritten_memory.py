"""No step reads memory that was never written: filled with what is not a number, it gives the same bits."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from platform.methods.composition import Composition
from platform.training.evaluation import evaluate
from tests.support.shelf import ACTING
from tests.support.tiny_splits import assert_same, state, training_run


@contextmanager
def deterministic(fill: bool) -> Iterator[None]:
    asked = torch.are_deterministic_algorithms_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(asked)
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("methods", ACTING, ids=lambda methods: methods.name)
def test_a_fill_changes_nothing(methods: Composition, parts: int) -> None:
    found = []
    for fill in (True, False):
        run = training_run(methods, batch=4)
        run.parts = parts
        with deterministic(fill):
            run.advance(2)
            found.append((state(run), evaluate(run, run.splits.source_val, "source")))
    (filled, counted), (unfilled, expected) = found
    assert_same(filled, unfilled)
    assert (counted == expected).all()
    assert all(
        value.isfinite().all() for module in filled["modules"].values() for value in module.values() if value.numel()
    )


def test_the_fill_would_show() -> None:
    with deterministic(True):
        assert torch.empty(3).isnan().all()
