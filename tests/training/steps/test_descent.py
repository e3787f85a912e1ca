"""The segmentation network's optimiser: what it descends by, at which rate, and what it decays."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from platform.methods import Adversarial, SourceOnly
from platform.networks.network import Network
from platform.training.recipe import Recipe
from platform.training.steps.rates import descent
from tests.support.tiny_splits import assert_same, state, training_run


class Small(Network):
    """Two layers, of which the first is its backbone."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))
        self.head = nn.Conv2d(2, 2, 1)

    def backbone(self) -> nn.Module:
        return self.stem


def after_steps(recipe: Recipe, gradients: list[float]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters before and after steps along gradients that are alike everywhere."""
    torch.manual_seed(3)
    network = Small().double()
    before = {name: each.detach().clone() for name, each in network.named_parameters()}
    optimiser = descent(network, recipe)
    for gradient in gradients:
        for each in network.parameters():
            each.grad = torch.full_like(each, gradient)
        optimiser.step()
    return before, {name: each.detach() for name, each in network.named_parameters()}


def by_hand(w: Tensor, recipe: Recipe, rate: float, decay: float, gradients: list[float]) -> Tensor:
    """What the papers say of one parameter."""
    first = second = momentum = torch.zeros_like(w)
    b1, b2 = recipe.momentum, 0.999
    for number, gradient in enumerate(gradients, 1):
        g = torch.full_like(w, gradient)
        if recipe.optimiser == "AdamW":
            w = w - rate * decay * w
        else:
            g = g + decay * w
        if recipe.optimiser == "SGD":
            momentum = b1 * momentum + g
            w = w - rate * momentum
            continue
        first, second = b1 * first + (1 - b1) * g, b2 * second + (1 - b2) * g**2
        w = w - rate * (first / (1 - b1**number)) / ((second / (1 - b2**number)).sqrt() + 1e-8)
    return w


@pytest.mark.parametrize("optimiser", ["SGD", "Adam", "AdamW"])
@pytest.mark.parametrize("head_factor", [1.0, 10.0])
@pytest.mark.parametrize("decays_vectors", [True, False])
def test_each_parameter_takes_the_step_of_its_group(optimiser: Any, head_factor: float, decays_vectors: bool) -> None:
    recipe = Recipe(
        optimiser=optimiser,
        learning_rate=0.01,
        momentum=0.8,
        weight_decay=0.1,
        head_factor=head_factor,
        decays_vectors=decays_vectors,
    )
    gradients = [0.5, -0.25, 0.125]
    before, after = after_steps(recipe, gradients)
    assert len(before) == 6
    for name, w in before.items():
        rate = 0.01 * (head_factor if name.startswith("head") else 1)
        decay = 0.1 if decays_vectors or name in ("stem.0.weight", "head.weight") else 0.0
        torch.testing.assert_close(after[name], by_hand(w, recipe, rate, decay, gradients), atol=1e-10, rtol=1e-10)


def test_defaults_are_one_group_in_the_networks_own_order() -> None:
    network = Small()
    (group,) = descent(network, Recipe()).param_groups
    assert [id(each) for each in group["params"]] == [id(each) for each in network.parameters()]
    assert (group["lr"], group["weight_decay"], group["momentum"]) == (2.5e-2, 1e-4, 0.9)


def test_the_rate_on_record_is_the_backbones_and_all_of_them_are_scheduled() -> None:
    run = training_run(SourceOnly(), steps=4, head_factor=10.0, warm_up=0.5, power=1.0, decays_vectors=False)
    rates = []
    for _ in range(4):
        run.advance(1)
        rates.append([group["lr"] for group in run._optimisers["segmentation"].param_groups])
        assert run.learning_rate == min(rates[-1])
    for found, factor in zip(rates, [0.5, 0.75, 0.5, 0.25], strict=True):
        assert found == pytest.approx([0.01 * factor, 0.01 * factor, 0.1 * factor, 0.1 * factor])
    heads = [each for name, each in run.network.named_parameters() if not name.startswith("context_path")]
    fast = [each for group in run._optimisers["segmentation"].param_groups[2:] for each in group["params"]]
    assert {id(each) for each in fast} == {id(each) for each in heads}


@pytest.mark.parametrize("optimiser", ["Adam", "AdamW"])
def test_training_lowers_the_loss_and_a_restored_run_goes_on(optimiser: str) -> None:
    values: dict[str, Any] = {"optimiser": optimiser, "learning_rate": 1e-3, "head_factor": 5.0}
    run = training_run(Adversarial(width=4), steps=40, **values)
    first = run.advance(10)["loss/cross_entropy"]
    saved = run.save({})
    restored = training_run(Adversarial(width=4), steps=40, **values)
    restored.restore(saved)
    assert run.advance(20) == restored.advance(20)
    assert_same(state(run), state(restored))
    assert run.advance(10)["loss/cross_entropy"] < first


class Bare(Network):
    """A network that does not say which part is its backbone."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 19, 1)


def test_heads_cannot_be_set_apart_of_a_network_without_a_backbone() -> None:
    message = "Recipe.head_factor must be 1 for a network without a backbone, as Bare is; leave it out, or have"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        descent(Bare(), Recipe(head_factor=10.0))
    descent(Bare(), Recipe(decays_vectors=False))


def test_a_gradient_of_one_parameter_moves_that_parameter_alone() -> None:
    network = Small()
    before = {name: each.detach().clone() for name, each in network.named_parameters()}
    optimiser = descent(network, Recipe(optimiser="AdamW", weight_decay=0.5))
    functional.mse_loss(network.head.weight, torch.ones_like(network.head.weight)).backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    moved = {name for name, each in network.named_parameters() if not torch.equal(each, before[name])}
    assert moved == {"head.weight"}
