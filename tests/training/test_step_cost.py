"""What is counted of a step before anything trains is what the step takes: told at full size, without numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from platform.methods import DANN, FDA, SEGMENTATION, Adversarial, Method, Player, SourceOnly, Step
from platform.methods.composition import Composition
from platform.networks import BiSeNet18, Network
from platform.training.cost import cost_of, estimate_of
from platform.training.cost.traffic import traffic_of
from platform.training.recipe import Recipe
from tests.support.fake_step import SIZE, Asked, asked_of_a_gpu
from tests.support.tiny_splits import composition

PUBLISHED = [SourceOnly(), FDA(), Adversarial(), Adversarial(separable=True)]
RECIPE = Recipe(network=BiSeNet18(width=0.125))
ALONE = cost_of(composition(SourceOnly()), RECIPE)


@pytest.fixture(scope="module", params=PUBLISHED, ids=str)
def published(request: pytest.FixtureRequest) -> tuple[Composition, Asked]:
    """Methods at their defaults, and what their step asks of a GPU at full size."""
    methods = Composition((request.param,))
    return methods, asked_of_a_gpu(methods, Recipe())


def test_traffic_is_about_what_the_step_asks_for(published: tuple[Composition, Asked]) -> None:
    methods, asked = published
    traffic = traffic_of(methods, Recipe(), (), SIZE)
    assert asked.kernels / 1.4 < traffic.kernels < 1.1 * asked.kernels
    assert asked.bytes / 1.6 < traffic.bytes < 1.1 * asked.bytes
    (twice,) = {traffic_of(methods, replace(Recipe(), batch=8), (), SIZE)}
    assert twice.kernels == traffic.kernels
    # What weights take does not grow.
    assert 1.8 * traffic.bytes < twice.bytes < 2 * traffic.bytes
    assert twice.kept == pytest.approx(2 * traffic.kept, rel=0.05)


def test_the_counted_step_is_the_one_that_is_taken(published: tuple[Composition, Asked]) -> None:
    methods, asked = published
    recipe, taken = Recipe(), asked.flops / 1e9
    assert recipe.batch * cost_of(methods, recipe).step_gflops == pytest.approx(taken, rel=0.01)
    assert recipe.batch * estimate_of(methods, recipe).step_gflops == pytest.approx(taken, rel=0.01)


def test_one_loss_of_two_players_is_gone_back_through_for_each() -> None:
    """Both domains' features are judged: forward, for the network to the features, and for the classifier's weights."""
    hidden, channels, places = 64, 19, 64 * 128
    first, second = (2 * inputs * outputs * places / 1e9 for inputs, outputs in ((channels, hidden), (hidden, 1)))
    judgement = first + second
    judged = judgement + judgement + (judgement + second)
    counted = cost_of(composition(DANN()), RECIPE)
    assert counted.step_gflops == pytest.approx(2 * ALONE.step_gflops + 2 * judged)


@dataclass(frozen=True, kw_only=True)
class Layered(Method):
    """Gives the target to two layers of a player of its own, as a test says."""

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        return {"layers": Player(nn.Sequential(nn.Conv2d(19, 19, 1), nn.Conv2d(19, 19, 1)), torch.optim.SGD)}

    def losses(self, step: Step) -> Mapping[str, Tensor | None]:
        return self.of(step.modules["layers"], step.target_prediction.logits)

    def of(self, layers: nn.Module, logits: Tensor) -> Mapping[str, Tensor | None]:
        """The losses of what the layers give."""
        return {"layers": layers(logits).mean(), SEGMENTATION: logits.mean()}


class Resting(Layered):
    """The player's loss rests: its graph is gone back through for nobody."""

    def of(self, layers: nn.Module, logits: Tensor) -> Mapping[str, Tensor | None]:
        layers(logits)
        return {"layers": None, SEGMENTATION: logits.mean()}


class Untracked(Layered):
    """The network's loss is seen through layers whose weights learn nothing from it."""

    def of(self, layers: nn.Module, logits: Tensor) -> Mapping[str, Tensor | None]:
        return {"layers": None, SEGMENTATION: layers(logits).mean()}


class Frozen(Layered):
    """The first layer learns nothing, and so nothing is asked of it."""

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        players = super().players(network, given)
        next(players["layers"].module.children()).requires_grad_(False)
        return players


class Asking(Layered):
    """A gradient with respect to what is judged, which no weight has."""

    def of(self, layers: nn.Module, logits: Tensor) -> Mapping[str, Tensor | None]:
        shown = logits.detach().requires_grad_()
        (slope,) = torch.autograd.grad(layers(shown).mean(), shown)
        return {"layers": None, SEGMENTATION: (logits * slope).mean()}


@pytest.mark.parametrize(
    ("method", "products"),
    [
        # Two layers forward; weights of both; of inputs that of the second alone.
        (Layered(), 2 + 2 + 1),
        (Resting(), 2),
        (Untracked(), 2 + 2),
        (Frozen(), 2 + 1),
        (Asking(), 2 + 2),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Method) else "",
)
def test_gradients_are_counted_where_they_are_taken(method: Method, products: int) -> None:
    once = 2 * 19 * 19 * 64 * 128 / 1e9
    for count in (cost_of, estimate_of):
        found, alone = (count(composition(each), RECIPE).step_gflops for each in (method, SourceOnly()))
        assert found - 2 * alone == pytest.approx(products * once)


@dataclass(frozen=True, kw_only=True)
class Perturbed(Method):
    """Asks for a gradient with respect to the target's images."""

    def losses(self, step: Step) -> Mapping[str, Tensor]:
        images = step.target.images.requires_grad_()
        prediction = step.segment(images, "target")
        (slope,) = torch.autograd.grad(prediction.logits.mean(), images)
        return {SEGMENTATION: step.segment(replace(step.target, images=images + slope).images, "target").logits.mean()}


def test_a_gradient_of_images_is_another_pass() -> None:
    counted = cost_of(composition(Perturbed()), RECIPE)
    forward = ALONE.deployed_gflops
    assert counted.step_gflops == pytest.approx(2 * ALONE.step_gflops + 2 * forward, rel=0.01)


@dataclass(frozen=True, kw_only=True)
class Pointwise(Method):
    """Learns from the target's logits one by one."""

    def losses(self, step: Step) -> Mapping[str, Tensor]:
        logits = step.target_prediction.logits
        return {SEGMENTATION: self.of(logits, logits > 0)}

    def of(self, logits: Tensor, mask: Tensor) -> Tensor:
        """The loss of logits, given where they are positive."""
        return torch.where(mask, logits, 0.0).mean()


class Counting(Pointwise):
    """Has as many weights as there are values."""

    def of(self, logits: Tensor, mask: Tensor) -> Tensor:
        return logits.mean() * torch.bincount(mask.flatten().long())[0]


class Masking(Pointwise):
    """Learns from those alone."""

    def of(self, logits: Tensor, mask: Tensor) -> Tensor:
        return logits[mask].mean()


@pytest.mark.parametrize(("method", "is_repeated"), [(Pointwise(), True), (Counting(), False), (Masking(), False)])
def test_a_step_that_asks_how_many_there_are_is_not_repeated(method: Method, is_repeated: bool) -> None:
    assert traffic_of(composition(method), RECIPE, (), SIZE).is_repeated == is_repeated


@dataclass(frozen=True, kw_only=True)
class Whole(Method):
    """Calls the network itself."""

    def losses(self, step: Step) -> Mapping[str, Tensor]:
        return {SEGMENTATION: step.network(step.target.images).logits.mean()}


def test_a_network_that_is_called_by_itself_costs_what_a_pass_does() -> None:
    counted = cost_of(composition(Whole()), RECIPE)
    assert counted.step_gflops == pytest.approx(2 * ALONE.step_gflops, rel=0.002)
