"""What a plan sees as it takes a step: who is called, by whomever, and what may not be changed, returned or frozen."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from platform.methods import SEGMENTATION, Method, MinEnt, Player, SourceOnly, Step
from platform.methods.batch import Labelled
from platform.methods.composition import Composition
from platform.networks.network import Architecture, Network, Prediction
from platform.training.assignment import Failure
from platform.training.attempt import take_step
from platform.training.cost import Uncounted, cost_of, estimate_of
from platform.training.given import Given
from platform.training.recipe import Recipe
from tests.support.attempts import assignment, attempt, process_as_it_was
from tests.support.own_methods import judged
from tests.support.taught import Mean
from tests.support.tiny_splits import composition, recipe, training_run


class Wrapped(nn.Module):
    """Holds a network that is called by itself, never as a whole."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network


@dataclass(frozen=True, kw_only=True)
class FromInside(Mean):
    """The same teacher as a part of a player."""

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        return {"teacher": Player(Wrapped(copy.deepcopy(network)))}

    def losses(self, step: Step) -> Mapping[str, Tensor]:
        return super().losses(replace(step, modules={"teacher": step.modules["teacher"].network}))  # type: ignore[dict-item]


@dataclass(frozen=True, kw_only=True)
class OfFeatures(Method):
    """Calls the last layer of the network by itself."""

    def losses(self, step: Step) -> Mapping[str, Tensor]:
        logits = step.network.classifier(step.target_prediction.features)  # type: ignore[operator]
        return {SEGMENTATION: logits.square().mean()}


@dataclass(frozen=True, kw_only=True)
class OfTheTarget(Method):
    """The same pass of the target, without that layer."""

    def losses(self, step: Step) -> Mapping[str, Tensor]:
        return {SEGMENTATION: step.target_prediction.logits.square().mean()}


def test_a_teacher_counts_wherever_it_is_kept() -> None:
    direct, inside = (cost_of(composition(method), recipe()) for method in (Mean(), FromInside()))
    assert inside == direct
    assert direct.step_gflops > cost_of(composition(OfTheTarget()), recipe()).step_gflops
    assert estimate_of(composition(FromInside()), recipe()) == estimate_of(composition(Mean()), recipe())


def test_a_part_of_the_network_that_is_called_by_itself_counts() -> None:
    by = recipe()
    with_layer, without = (cost_of(composition(method), by) for method in (OfFeatures(), OfTheTarget()))
    layer = by.network.build().classifier
    assert isinstance(layer, nn.Conv2d)
    once = 2 * layer.weight.numel() * 64 * 128 / 1e9
    assert with_layer.step_gflops - without.step_gflops == pytest.approx(3 * once)
    assert with_layer.discriminator_gflops == without.discriminator_gflops == 0


class Queue(nn.Module):
    """A memory of features, and a judge with batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("features", torch.zeros(4))
        self.judge = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.Conv2d(2, 1, 1))


@dataclass(frozen=True, kw_only=True)
class Queued(Method):
    """Does to its queue in the losses what a test says."""

    acts: ClassVar[Any] = None

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        return {"queue": Player(Queue())}

    def losses(self, step: Step) -> Mapping[str, Tensor]:
        with torch.no_grad():
            type(self).acts(step)
        return {}


def enqueue(step: Step) -> None:
    step.modules["queue"].features[0] = 1.0  # type: ignore[operator]


def replace_queue(step: Step) -> None:
    step.modules["queue"].features = torch.ones(4)


def move_the_network(step: Step) -> None:
    next(step.network.parameters()).mul_(0.5)


def judge_in_training(step: Step) -> None:
    step.modules["queue"].judge.train()(step.target.images)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("acts", "what"),
    [(enqueue, "queue.features"), (replace_queue, "queue.features"), (move_the_network, SEGMENTATION)],
)
def test_losses_that_change_state_are_refused(acts: Any, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are taken twice a step where a batch is halved, and would enqueue twice."""
    monkeypatch.setattr(Queued, "acts", staticmethod(acts))
    said = rf"^Queued\.losses must change nothing, .* got another {what}.*; change it in `update`"
    with pytest.raises(Uncounted, match=said):
        estimate_of(composition(Queued()), recipe(batch=4))


def test_batch_norm_of_a_judge_may_see_what_it_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Queued, "acts", staticmethod(judge_in_training))
    estimate_of(composition(Queued()), recipe(batch=6))


@dataclass(frozen=True, kw_only=True)
class Leaving(Method):
    """Ends its process."""

    def losses(self, step: Step) -> Mapping[str, Tensor]:
        raise SystemExit("enough")


def test_a_method_that_exits_is_refused_and_no_lost_worker(tmp_path: Any) -> None:
    with pytest.raises(Uncounted, match=r"^Leaving cannot be tried, since it raises SystemExit: enough at test_"):
        estimate_of(composition(Leaving()), recipe())
    with process_as_it_was():
        result = take_step(attempt(assignment(tmp_path, Leaving())))
    assert isinstance(result, Failure)
    assert result.cause == "error"
    assert result.reason.startswith("SystemExit: enough at test_tried_steps.py:")


@dataclass(frozen=True, kw_only=True)
class Remembering(Method):
    """Remembers in an attribute."""

    def losses(self, step: Step) -> Mapping[str, Tensor]:
        self.seen = step.number
        return {}


@dataclass(frozen=True, kw_only=True)
class Distilled(Method):
    """Takes a teacher that it was not given."""

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        return {"teacher": Player(given[0])}


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (Remembering(), "FrozenInstanceError: .*; what it remembers is a buffer of a player of its own"),
        (Distilled(), r"IndexError: .*; mend it, or write \.after\(\.\.\.\), if it begins from other rows"),
    ],
)
def test_the_remedy_is_that_of_the_mistake(method: Method, words: str) -> None:
    with pytest.raises(Uncounted, match=words):
        estimate_of(composition(method), recipe())


def test_a_mistake_of_the_second_method_is_said_as_that_of_the_first() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Second(Method):
        def losses(self, step: Step) -> Mapping[str, Tensor]:
            return {"jugde": torch.zeros(())}

    for methods in ((Second(),), (MinEnt(), Second())):
        with pytest.raises(Uncounted, match=r"^Second\.losses must name players, segmentation, got 'jugde'; rename it"):
            estimate_of(Composition(methods), recipe())


def test_a_start_that_takes_nothing_of_what_its_arm_comes_after_is_refused() -> None:
    """It would begin from random weights, in a row that says where it begins."""

    @dataclass(frozen=True, kw_only=True)
    class Freezing(SourceOnly):
        def start(self, network: Network, given: Sequence[Network]) -> None:
            next(network.parameters()).requires_grad_(False)

    @dataclass(frozen=True, kw_only=True)
    class Beginning(Freezing):
        def start(self, network: Network, given: Sequence[Network]) -> None:
            Method.start(self, network, given)
            super().start(network, given)

    given = (Given(composition(SourceOnly()), recipe()),)
    estimate_of(composition(Beginning()), recipe(), given)
    with pytest.raises(Uncounted, match=r"^Freezing must take something from the rows .*super\(\)\.start\(network"):
        estimate_of(composition(Freezing()), recipe(), given)


def test_losses_that_differentiate_are_refused() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Differentiating(Method):
        def losses(self, step: Step) -> Mapping[str, Tensor]:
            loss = step.target_prediction.logits.square().mean()
            loss.backward(retain_graph=True)  # type: ignore[no-untyped-call]
            return {SEGMENTATION: loss}

    with pytest.raises(Uncounted, match=r"^Differentiating\.losses must return losses and differentiate none; leave"):
        estimate_of(composition(Differentiating()), recipe())


class Counting(Network):
    """Counts its passes where no checkpoint has it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 19, 1)
        self.passes = 0

    def forward(self, images: Tensor, domain: str = "target", auxiliary: bool = False) -> Prediction:
        self.passes += 1
        return Prediction(self.passes * self.layer(images / 255 + 1), (), images)


def test_a_network_that_remembers_in_an_attribute_is_refused() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Remembers(Architecture):
        def build(self) -> Network:
            return Counting()

    Remembers.__module__ = "of_the_users"
    for count in (estimate_of, cost_of):
        with pytest.raises(Uncounted, match=r"^Remembers must go on from a checkpoint .*; keep what the network"):
            count(composition(SourceOnly()), Recipe(network=Remembers()))


def test_more_target_images_than_a_batch_can_be_asked_for() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Looking(Method):
        def losses(self, step: Step) -> Mapping[str, Tensor]:
            return {SEGMENTATION: step.segment(step.adapt.batch([0, 1, 2]).images, "target").logits.mean()}

    estimate_of(composition(Looking()), recipe())


@dataclass(frozen=True, kw_only=True)
class Frozen(Method):
    """A player, or the network, that has a loss and no parameter to learn."""

    network_too: ClassVar[bool] = False

    def start(self, network: Network, given: Sequence[Network]) -> None:
        network.requires_grad_(not self.network_too)

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        judge = nn.Conv2d(3, 1, 1).requires_grad_(self.network_too)
        return {"judge": Player(judge, partial(torch.optim.SGD, lr=0.1))}

    def losses(self, step: Step) -> Mapping[str, Tensor]:
        return {"judge": judged(step) + step.target_prediction.logits.mean()}


@pytest.mark.parametrize(("network_too", "name"), [(False, "judge"), (True, SEGMENTATION)])
def test_what_has_a_loss_and_nothing_to_learn_is_refused(
    network_too: bool, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Frozen, "network_too", network_too)
    with pytest.raises(ValueError, match=rf"^Frozen: what has a loss must have parameters .*, got none in {name}; see"):
        training_run(Frozen()).advance(1)


def test_an_update_that_returns_something_is_refused() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Telling(Method):
        def update(self, step: Step) -> Any:
            return {"kept": 1.0}

    with pytest.raises(ValueError, match=r"^Telling\.update must change its players and return None, got dict; step"):
        training_run(Telling()).advance(1)


@dataclass(frozen=True, kw_only=True)
class Translating(SourceOnly):
    """Translates, or draws, as a test says."""

    translated: ClassVar[Any] = None

    def translate(self, source: Labelled, target: Any, memory: Any) -> Any:
        return type(self).translated(source.images)


@pytest.mark.parametrize(
    ("translated", "got"),
    [
        (lambda images: images.double(), r"torch\.float64 \(2, 3, "),
        (lambda images: images[:1], r"torch\.float32 \(1, 3, "),
        (lambda images: images.numpy(), "ndarray"),
        (lambda images: None, "NoneType"),
    ],
)
def test_a_translation_that_gives_no_images_is_refused_by_a_plan(
    translated: Any, got: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Translating, "translated", staticmethod(translated))
    said = rf"^Translating\.translate must return images of float32 as the source's, .*, in \[0, 255\], got {got}"
    with pytest.raises(Uncounted, match=said):
        estimate_of(composition(Translating()), recipe())


@dataclass(frozen=True, kw_only=True)
class Drawing(SourceOnly):
    """Draws source images as a test says."""

    shares: ClassVar[Any] = None

    def weights(self, labelled: Any) -> Any:
        return type(self).shares(labelled)


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        (lambda labelled: np.ones(1), r"^Drawing\.weights must be 2 finite numbers of at least 0"),
        (lambda labelled: labelled.label, r"^Drawing cannot be tried, since it raises AttributeError: .*label"),
    ],
)
def test_weights_that_are_none_are_refused_by_a_plan(shares: Any, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Drawing, "shares", staticmethod(shares))
    with pytest.raises(Uncounted, match=words):
        estimate_of(composition(Drawing()), recipe())
