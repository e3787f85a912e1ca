"""What a method and a recipe cost: the recipe's network, and the players of the method on what the method feeds them.

A method's losses are taken once, on a few made-up images, to see what each player is given. The images are as small as
the players take them, and the network's predictions for them are those for the smallest image, enlarged: only shapes
matter. Taken again on images twice as large, they show how each dimension grows, up to the size that costs are for. So
a discriminator is counted on what it judges, be it probabilities at the image's size, features or pooled features.
"""

import functools
import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from platform.methods.batch import Labelled, Unlabelled
from platform.methods.method import Method, Step
from platform.methods.mistakes import explained
from platform.networks import cost
from platform.networks.cost import SIZE, SMALLEST, Arguments, Cost, Judgement
from platform.networks.network import Prediction, upsample
from platform.training.recipe import Recipe

IMAGES = [2**doublings for doublings in range(round(math.log2(SIZE[0] / SMALLEST[0])) + 1)]
"""How many times as large as the smallest images those are that a method is tried on."""
BATCH = 2
LATE = 0.999
"""The progress that a method sees: whatever it does only after a warm-up is counted too."""
Call = tuple[str, Arguments]
"""A player's name, and the arguments that it was given."""


class Uncounted(ValueError):
    """A method's losses raise where they are taken to count what its players cost."""


def cost_of(method: Method, recipe: Recipe) -> Cost:
    """Parameters and GFLOPs of what a method trains by a recipe. Raises Uncounted."""
    return _cost(method, recipe.bare())


def estimate_of(method: Method, recipe: Recipe) -> tuple[float, float]:
    """`deployed_gflops` and `discriminator_gflops`, estimated for plans that cannot wait for them.

    See `platform.networks.cost` for how near they are.
    """
    bare = recipe.bare()
    return _network_estimate(bare), sum(map(cost.estimated_gflops, _judgements(method, bare)))


@functools.lru_cache(maxsize=256)
def _cost(method: Method, bare: Recipe) -> Cost:
    players = _players(method)
    return cost.with_players(_network_cost(bare), players.values(), _judgements(method, bare))


@functools.cache
def _network_cost(bare: Recipe) -> Cost:
    with torch.device("meta"):
        network = bare.network().eval()
        return cost.network_cost(network)


@functools.cache
def _network_estimate(bare: Recipe) -> float:
    with torch.random.fork_rng(devices=[]):
        return cost.estimated_network_gflops(bare.network().eval())


@functools.cache
def _smallest_prediction(bare: Recipe) -> Prediction:
    """What the network predicts for one image of the smallest size, with its auxiliary heads."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        prediction: Prediction = bare.network().eval()(torch.zeros(1, 3, *SMALLEST), auxiliary=True)
    return prediction


def _players(method: Method) -> dict[str, nn.Module]:
    with torch.random.fork_rng(devices=[]):
        return {name: player.module.eval() for name, player in method.players().items()}


@functools.lru_cache(maxsize=256)
def _judgements(method: Method, bare: Recipe) -> tuple[Judgement, ...]:
    """What a method gives to its players for one image, each different call once."""
    players = _players(method)
    if not players:
        return ()
    prediction = _smallest_prediction(bare)
    try:
        scale, small = _smallest_calls(method, players, prediction)
        doublings = round(math.log2(IMAGES[-1] / scale))
        larger = _calls(method, players, prediction, 2 * scale) if doublings else small
    except Exception as error:
        raise Uncounted(
            f"the cost of {type(method).__name__}'s players cannot be counted, since its losses raise "
            f"{explained(error)}; mend the method"
        ) from error
    judgements: dict[str, Judgement] = {}
    for (name, arguments), (_, grown) in zip(small, larger, strict=True):
        one, larger_one = _of_one(arguments), _of_one(grown)
        full = {key: _full(doublings, value, larger_one[key]) for key, value in one.items()}
        judgements[f"{name} {full}"] = Judgement(players[name], one, full)
    return tuple(judgements.values())


def _smallest_calls(method: Method, players: Mapping[str, nn.Module], prediction: Prediction) -> tuple[int, list[Call]]:
    """The calls for the smallest images that all players take, and how many times the smallest size those have."""
    for scale in IMAGES[:-1]:
        try:
            return scale, _calls(method, players, prediction, scale)
        except (RuntimeError, ValueError):
            continue  # a convolution raises when its input is smaller than its kernel
    return IMAGES[-1], _calls(method, players, prediction, IMAGES[-1])


def _calls(method: Method, players: Mapping[str, nn.Module], prediction: Prediction, scale: int) -> list[Call]:
    """The calls of the players while a method's losses are taken on images some times as large as the smallest."""
    calls: list[Call] = []

    def note(name: str, module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        given: list[tuple[int | str, Any]] = [*enumerate(inputs), *named.items()]
        shapes = {key: value.shape if isinstance(value, Tensor) else value for key, value in given}
        calls.append((name, shapes))

    hooks = {name: partial(note, name) for name in players}
    handles = [module.register_forward_pre_hook(hooks[name], with_kwargs=True) for name, module in players.items()]
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            method.losses(_step(method, players, prediction, scale))
    finally:
        for handle in handles:
            handle.remove()
    return calls


def _step(method: Method, players: Mapping[str, nn.Module], prediction: Prediction, scale: int) -> Step:
    size = tuple(side * scale for side in SMALLEST)
    indices = torch.arange(BATCH)
    images = [255 * torch.rand(BATCH, 3, *size) for _ in range(2)]
    return Step(
        progress=LATE,
        source=Labelled(images[0], torch.zeros(BATCH, *size, dtype=torch.int64), indices),
        target=Unlabelled(images[1], indices) if method.sees_target else None,
        segment=partial(_enlarged, prediction),
        segment_target=lambda target: _enlarged(prediction, target).logits,
        modules=players,
        auxiliary_weight=1.0,
    )


def _enlarged(prediction: Prediction, images: Tensor) -> Prediction:
    """A prediction for the smallest image as one for these images."""

    def enlarge(logits: Tensor) -> Tensor:
        sides = zip(logits.shape[-2:], images.shape[-2:], SMALLEST, strict=True)
        size = tuple(math.ceil(side * image / smallest) for side, image, smallest in sides)
        return upsample(logits, size).expand(len(images), -1, -1, -1)

    return Prediction(enlarge(prediction.logits), tuple(map(enlarge, prediction.auxiliary)))


def _of_one(arguments: Arguments) -> Arguments:
    """The arguments for one image instead of a batch, which the first dimension counts."""
    return {
        key: torch.Size((1, *value[1:])) if isinstance(value, torch.Size) else value for key, value in arguments.items()
    }


def _full(doublings: int, small: Any, larger: Any) -> Any:
    """The shape at full size, extrapolated from its growth over the first doubling."""
    if not isinstance(small, torch.Size):
        return small
    return torch.Size(round(side * (grown / side) ** doublings) for side, grown in zip(small, larger, strict=True))
