"""What a step offers every method."""

import inspect
import math
import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from mlflow.utils.validation import _validate_metric_name
from torch import Tensor

from platform.methods import SourceOnly
from platform.methods.batch import Labelled, Unlabelled, UnlabelledImages
from platform.methods.step import Moment, Passes, Step, detached
from platform.methods.upsampled_loss import cross_entropy
from platform.networks.network import Domain, Network, Prediction
from platform.networks.operations.upsampling import upsample
from platform.shifts.labels import VOID


def logits(seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(2, 19, 2, 3, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def labels(seed: int = 1) -> Tensor:
    drawn = torch.randint(0, 19, (2, 16, 24), generator=torch.Generator().manual_seed(seed))
    drawn[:, :5] = VOID
    drawn[1, :, :7] = VOID
    return drawn


def by_hand(scores: Tensor, truth: Tensor, weights: Tensor | None = None) -> float:
    """-mean of weight times log p over the pixels that are not void."""
    upsampled = upsample(scores, truth.shape[-2:]).numpy()
    surprises = []
    for image, row, column in np.ndindex(*truth.shape):
        if truth[image, row, column] != VOID:
            pixel = upsampled[image, :, row, column]
            surprise = math.log(sum(math.exp(x) for x in pixel)) - pixel[truth[image, row, column]]
            surprises.append(surprise * (1.0 if weights is None else float(weights[image, row, column])))
    return float(np.mean(surprises))


def prediction(seed: int = 0) -> Prediction:
    """Random logits, those of two auxiliary heads with the seeds that follow, and features."""
    return Prediction(logits(seed), (logits(seed + 1), logits(seed + 2)), logits(seed + 3))


@dataclass
class Listed:
    """Passes of no network: a prediction by domain, and a list of those that were made."""

    made: list[tuple[str, str]]

    def __call__(self, images: Tensor, domain: Domain) -> Prediction:
        self.made.append(("of a domain", domain))
        return prediction(20 if domain == "target" else 10)

    def labelled(self, images: Tensor, domain: Domain) -> Prediction:
        self.made.append(("labelled", domain))
        return prediction(4 if domain == "target" else 0)


def step(auxiliary_weight: float = 1.0, reads: frozenset[str] = SourceOnly.reads, **changes: Any) -> Step:
    """A step of a method that reads these."""
    images, positions = torch.zeros(2, 3, 16, 24), torch.tensor([0, 1])
    every: dict[str, Labelled | Unlabelled] = {
        "source": Labelled(images, labels(), positions, positions * 0),
        "few": Labelled(images, labels(2), positions, positions * 0),
        "oracle": Labelled(images, labels(3), positions, positions * 0),
        "target": Unlabelled(images, positions),
    }
    offered = Step(
        moment=Moment(0, np.random.default_rng(0), 7),
        progress=torch.zeros(()),
        batches=every,
        network=Network(),
        segment=Listed([]),
        modules={},
        auxiliary_weight=auxiliary_weight,
        images=UnlabelledImages(np.zeros((5, 16, 24, 3), np.uint8), torch.device("cpu")),
    )
    return replace(offered.seen_by(reads, {}), **changes)


def passes_of(offered: Step) -> list[tuple[str, str]]:
    assert isinstance(offered.segment, Listed)
    return offered.segment.made


def test_a_step_says_how_many_there_are_unless_it_is_recorded() -> None:
    assert (step().number, step().steps) == (0, 7)
    with pytest.raises(RuntimeError, match="a step that is recorded is not told its number"):
        _ = step(moment=None).steps


# The cross-entropy


def test_cross_entropy_leaves_void_out() -> None:
    assert cross_entropy(logits(), labels()).item() == pytest.approx(by_hand(logits(), labels()), rel=1e-12)


def test_cross_entropy_weighs_pixels_and_counts_all_that_are_not_void() -> None:
    weights = torch.rand(2, 16, 24, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    weights[0, 8:] = 0
    found = cross_entropy(logits(), labels(), weights).item()
    assert found == pytest.approx(by_hand(logits(), labels(), weights), rel=1e-12)
    assert cross_entropy(logits(), labels(), torch.ones(2, 16, 24)) == cross_entropy(logits(), labels())


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
    loss = offered.supervised()
    assert loss is not None
    assert loss.item() == pytest.approx(main + auxiliary_weight * sum(others))
    assert offered.noted.keys() == {"loss/cross_entropy"}
    assert offered.noted["loss/cross_entropy"].item() == pytest.approx(main)


@pytest.mark.parametrize("auxiliary_weight", [0.0, 1.0, 0.25])
def test_a_method_may_take_the_cross_entropy_of_any_prediction_and_labels(auxiliary_weight: float) -> None:
    offered = step(auxiliary_weight)
    main, *others = (by_hand(logits(seed), labels(7)) for seed in (4, 5, 6))
    loss = offered.cross_entropy(prediction(4), labels(7))
    assert loss.item() == pytest.approx(main + auxiliary_weight * sum(others))
    assert not offered.noted, "it is the method's to name"


@pytest.mark.parametrize(
    ("reads", "expected", "noted"),
    [
        ({"source", "target"}, [("labelled", "source")], {"loss/cross_entropy"}),
        ({"oracle"}, [("labelled", "target")], {"loss/cross_entropy"}),
        ({"few", "target"}, [("labelled", "target")], {"loss/cross_entropy"}),
        (
            {"source", "few", "target"},
            [("labelled", "source"), ("labelled", "target")],
            {"loss/cross_entropy", "loss/cross_entropy/few"},
        ),
        ({"target"}, [], set()),
    ],
)
def test_the_cross_entropy_of_every_labelled_batch_is_added_and_noted(
    reads: set[str], expected: list[tuple[str, str]], noted: set[str]
) -> None:
    offered = step(reads=frozenset(reads))
    loss = offered.supervised()
    assert passes_of(offered) == expected
    assert offered.noted.keys() == noted
    seeds = {"source": (0, 1), "oracle": (4, 3), "few": (4, 2)}
    terms = [
        by_hand(logits(first + head), labels(truth))
        for name, (first, truth) in seeds.items()
        if name in reads
        for head in range(3)
    ]
    assert loss is None if not terms else loss is not None and loss.item() == pytest.approx(sum(terms))
    if "few" in reads and "source" in reads:
        assert offered.noted["loss/cross_entropy/few"].item() == pytest.approx(by_hand(logits(4), labels(2)))


# Passes


def test_a_prediction_is_the_pass_that_the_cross_entropy_is_taken_on() -> None:
    offered = step(reads=frozenset({"source", "few"}))
    offered.supervised()
    assert torch.equal(offered.prediction.logits, logits(0))
    assert torch.equal(offered.few_prediction.logits, logits(4))
    assert len(passes_of(offered)) == 2


def test_the_target_is_passed_once_however_many_terms_of_however_many_methods_use_it() -> None:
    offered = step(reads=frozenset({"target"}))
    other = offered.seen_by(frozenset({"target"}), {})
    assert offered.target_prediction is offered.target_prediction
    assert other.target_prediction is offered.target_prediction
    assert passes_of(offered) == [("of a domain", "target")]


def test_a_detached_prediction_has_no_gradients() -> None:
    value = logits().requires_grad_() * 2
    free = detached(Prediction(value, (value,), value))
    assert not any(tensor.requires_grad for tensor in (free.logits, *free.auxiliary, free.features))
    assert torch.equal(free.logits, value)


# What it reads


ASKED = {
    "source": "source",
    "few": "few",
    "target": "target",
    "adapt": "target",
    "prediction": "source",
    "few_prediction": "few",
    "target_prediction": "target",
}
"""What a step offers, and the batch that it is made of."""


@pytest.mark.parametrize(("asked", "batch"), ASKED.items())
def test_what_a_method_does_not_read_is_refused_by_name(asked: str, batch: str) -> None:
    """Even where another method of the arm reads it, and the pass was made for that one."""
    every = step(reads=frozenset({"source", "few", "target"}))
    every.supervised()
    assert every.target_prediction
    getattr(every, asked)
    reads = frozenset({"source", "few", "target", "oracle"}) - {batch}
    with pytest.raises(ValueError, match=f"asked for {batch}; add it to `reads`") as caught:
        getattr(every.seen_by(reads, {}), asked)
    assert "\n" not in str(caught.value)


def test_a_method_is_shown_its_own_batches_and_players_alone() -> None:
    offered = step(reads=frozenset({"source", "few", "target"}), modules={"theirs": torch.nn.Linear(1, 1)})
    mine = {"mine": torch.nn.Linear(1, 1)}
    seen = offered.seen_by(frozenset({"source"}), mine)
    assert seen.batches.keys() == {"source"}
    assert seen.images is None
    assert seen.modules == mine


def test_all_images_that_are_adapted_to_can_be_looked_at() -> None:
    offered = step(reads=frozenset({"target"}))
    assert len(offered.adapt) == 5
    batch = offered.adapt.batch([4, 0, 4])
    assert batch.images.shape == (3, 3, 16, 24)
    assert batch.indices.tolist() == [4, 0, 4]


def test_the_passes_of_a_step_are_those_that_methods_may_name() -> None:
    assert isinstance(step().segment, Passes)


# Notes


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


@pytest.mark.parametrize(("value", "got"), [(torch.zeros(3), "a tensor of shape (3,)"), (0.5, "0.5"), (None, "None")])
def test_a_scalar_is_a_tensor_of_one_number(value: Any, got: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"a scalar must be a tensor of one number, got {got} for 'x/y'")):
        inspect.unwrap(Step.note)(step(), "x/y", value)


def test_a_scalar_is_noted_once_a_step() -> None:
    """Whichever method of an arm does it: two values of one name would be one in the report."""
    offered = step()
    offered.supervised()
    offered.note("spread", torch.ones(()))
    for name in ("spread", "loss/cross_entropy"):
        with pytest.raises(ValueError, match=f"must be noted once a step, got '{name}' twice; give each its own name"):
            offered.seen_by(frozenset({"source"}), {}).note(name, torch.zeros(()))
    assert offered.noted["spread"].item() == 1


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
