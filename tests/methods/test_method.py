"""What a step offers every method."""

import math
from typing import NoReturn

import numpy as np
import pytest
import torch
from mlflow.utils.validation import _validate_metric_name
from torch import Tensor

from platform.methods import FDA, Adversarial, SourceOnly, TargetSupervised
from platform.methods.batch import Labelled
from platform.methods.method import Step, cross_entropy
from platform.networks.network import Prediction, upsample
from platform.shifts.labels import VOID


def logits(seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(2, 19, 2, 3, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def labels() -> Tensor:
    drawn = torch.randint(0, 19, (2, 16, 24), generator=torch.Generator().manual_seed(1))
    drawn[:, :5] = VOID
    drawn[1, :, :7] = VOID
    return drawn


def by_hand(scores: Tensor, truth: Tensor) -> float:
    """-mean log p over the pixels that are not void."""
    upsampled = upsample(scores, truth.shape[-2:]).numpy()
    surprises = []
    for image, row, column in np.ndindex(*truth.shape):
        if truth[image, row, column] != VOID:
            pixel = upsampled[image, :, row, column]
            surprises.append(math.log(sum(math.exp(x) for x in pixel)) - pixel[truth[image, row, column]])
    return float(np.mean(surprises))


def step(auxiliary_weight: float) -> Step:
    source = Labelled(torch.zeros(2, 3, 16, 24), labels(), torch.tensor([0, 1]), torch.tensor([0, 0]))
    return Step(0.0, source, None, _unused, _unused, {}, auxiliary_weight)


def _unused(images: Tensor) -> NoReturn:
    raise AssertionError("no network is needed here")


def test_cross_entropy_leaves_void_out() -> None:
    assert cross_entropy(logits(), labels()).item() == pytest.approx(by_hand(logits(), labels()), rel=1e-12)


def test_cross_entropy_of_void_alone_is_0_with_a_gradient_of_0() -> None:
    scores = logits().requires_grad_()
    loss = cross_entropy(scores, torch.full((2, 16, 24), VOID))
    torch.autograd.backward(loss)
    assert loss.item() == 0
    assert scores.grad is not None
    assert not scores.grad.any()


@pytest.mark.parametrize("auxiliary_weight", [0.0, 1.0, 0.25])
def test_auxiliary_heads_are_weighed_and_only_the_main_one_is_noted(auxiliary_weight: float) -> None:
    offered = step(auxiliary_weight)
    main, *others = (by_hand(logits(seed), labels()) for seed in range(3))
    loss = offered.cross_entropy(Prediction(logits(0), (logits(1), logits(2))))
    assert loss.item() == pytest.approx(main + auxiliary_weight * sum(others))
    assert offered.noted.keys() == {"loss/cross_entropy"}
    assert offered.noted["loss/cross_entropy"].item() == pytest.approx(main)


def test_a_noted_term_is_returned_with_its_graph_and_kept_without() -> None:
    offered, value = step(1.0), torch.ones((), requires_grad=True) * 2
    assert offered.term("doubled", value) is value
    assert not offered.noted["loss/doubled"].requires_grad
    assert offered.noted["loss/doubled"].item() == 2


def test_a_quantity_that_is_no_loss_is_noted_under_its_own_name() -> None:
    offered, value = step(1.0), torch.full((), 3.0, requires_grad=True) * 1
    assert offered.note("discriminator/spread", value) is value
    assert offered.noted.keys() == {"discriminator/spread"}
    assert not offered.noted["discriminator/spread"].requires_grad


def test_steps_do_not_share_what_they_note() -> None:
    first, second = step(1.0), step(1.0)
    first.term("one", torch.ones(()))
    assert not second.noted


def test_a_method_is_at_full_strength_from_the_start_unless_it_says_otherwise() -> None:
    assert [method().warm_up for method in (SourceOnly, TargetSupervised, FDA, Adversarial)] == [0.0] * 4
    assert Adversarial(ramp=0.25).warm_up == 0.25


@pytest.mark.parametrize("name", ["loss/entropy", "discriminator/spread", "a b:c-d.e/f_1", "learning_rates"])
def test_a_scalar_has_a_name_that_mlflow_takes(name: str) -> None:
    _validate_metric_name(name)  # type: ignore[no-untyped-call]
    made = step(0.0)
    made.note(name, torch.tensor(1.0))
    assert list(made.noted) == [name]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "β",
        "a|b",
        "a//b",
        "/a",
        "a/",
        "../a",
        "a\n",
        "x" * 201,
        "source/miou",
        "oracle/miou",
        "final/x",
        "learning_rate",
    ],
)
def test_a_scalar_has_no_name_that_the_records_cannot_take(name: str) -> None:
    """Neither one that MLflow refuses, nor that of a metric by which trials are judged."""
    with pytest.raises(ValueError, match="a scalar's name must be") as caught:
        step(0.0).note(name, torch.tensor(1.0))
    assert "\n" not in str(caught.value)
