"""What the methods of an arm and its recipe cost, counted from what they build and from one step of theirs.

The losses are taken once, on a few made-up images, to see how often the network passes and what each player is given.
Taken again on images twice as large, they show how each dimension grows, up to the size that costs are for. So a
discriminator is counted on what it judges, be it probabilities at the image's size, features or pooled features, and a
teacher on the images that it is shown.
"""

import copy
import functools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from platform.methods.composition import Composition, modules_of
from platform.methods.method import SEGMENTATION
from platform.networks import cost
from platform.networks.cost import SIZE, SMALLEST, Arguments, Cost, Judgement
from platform.networks.network import Architecture, Domain
from platform.training.cost.forgotten import check_network, check_remembered, held
from platform.training.cost.tried import (
    IMAGES,
    Acting,
    acting_of,
    built,
    deployed_of,
    network_of,
    on_smallest,
    own_mistakes,
    own_network,
    players_of,
    step_of,
)
from platform.training.given import Given
from platform.training.recipe import Recipe


class _Call(NamedTuple):
    """Calls of a player that are alike."""

    judgement: Judgement
    passes: float
    """What all of them take in a step, in passes."""
    only_trained: bool
    """Whether the player is not deployed."""


@dataclass(frozen=True)
class _Counted:
    """What was seen of a step."""

    passes: float
    """What the segmentation network takes for one image of each batch, forward and for gradients, in passes."""
    calls: tuple[_Call, ...]
    """The calls of players, alike ones once, and what else is only trained."""
    domains: frozenset[Domain]
    """Whose images the segmentation network passes."""


@contextmanager
def _one_thread() -> Iterator[None]:
    """Images are so small that several threads would mostly wait, beside other programs for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@_one_thread()
def cost_of(methods: Composition, recipe: Recipe, given: tuple[Given, ...] = ()) -> Cost:
    """Parameters and GFLOPs of what methods train by a recipe. Raises Uncounted."""
    return _cost(acting_of(methods, recipe, given))


class Estimate(NamedTuple):
    """The fields of a `Cost` that plans show, GFLOPs estimated; `platform.networks.cost` says how near they are."""

    deployed_parameters: int
    discriminator_parameters: int
    step_gflops: float


@_one_thread()
def estimate_of(methods: Composition, recipe: Recipe, given: tuple[Given, ...] = ()) -> Estimate:
    """What methods cost, for plans, which cannot wait for exact counts. Raises Uncounted."""
    acting = acting_of(methods, recipe, given)
    network, counted = _network_estimate(acting.bare), _counted(acting)
    with own_mistakes(acting):
        calls = sum(call.passes * cost.estimated_gflops(call.judgement) for call in counted.calls)
        player = deployed_of(acting)
        return Estimate(
            cost.called_parameters(player or network_of(acting.bare), torch.zeros(1, 3, *SMALLEST)),
            sum(map(cost.parameters, _only_trained(acting, counted.passes > 0).values())),
            counted.passes * network + calls,
        )


@_one_thread()
def domains_of(methods: Composition, recipe: Recipe, given: tuple[Given, ...] = ()) -> frozenset[Domain]:
    """The domains whose images the segmentation network passes in a step. Raises Uncounted."""
    return _counted(acting_of(methods, recipe, given)).domains


@functools.lru_cache(maxsize=256)
def _cost(acting: Acting) -> Cost:
    counted, trained = _counted(acting), _network_cost(acting.bare)
    only_trained = _only_trained(acting, counted.passes > 0)
    with own_mistakes(acting):
        deployed = deployed_of(acting)
        whole = trained if deployed is None else cost.network_cost(copy.deepcopy(deployed).to("meta"))
        judged = [cost.judged(call.judgement) for call in counted.calls]
        calls = sum(call.passes * each.operations for call, each in zip(counted.calls, judged, strict=True)) / 1e9
        beside = [each for call, each in zip(counted.calls, judged, strict=True) if call.only_trained]
        return replace(
            cost.with_players(whole, only_trained.values(), beside),
            step_gflops=counted.passes * trained.deployed_gflops + calls,
        )


@functools.cache
def _network_cost(bare: Architecture) -> Cost:
    with own_network(bare):
        check_network(bare)
    with own_network(bare), torch.device("meta"):
        return cost.network_cost(built(bare))


@functools.cache
def _network_estimate(bare: Architecture) -> float:
    with own_network(bare):
        check_network(bare)
        return cost.estimated_network_gflops(network_of(bare))


def _only_trained(acting: Acting, network_is_used: bool) -> dict[str, nn.Module]:
    """The modules that are trained, or help to train, and are not deployed."""
    modules = modules_of(network_of(acting.bare), players_of(acting))
    left_out = {acting.methods.deployed} if network_is_used else {acting.methods.deployed, SEGMENTATION}
    return {name: module for name, module in modules.items() if name not in left_out}


@functools.lru_cache(maxsize=256)
def _counted(acting: Acting) -> _Counted:
    """One step of the methods, for one image."""
    methods, bare, players = acting.methods, acting.bare, players_of(acting)
    code = held(methods)
    with own_mistakes(acting):
        scale, (small, passes, domains) = on_smallest(IMAGES, partial(step_of, methods, players, bare))
        doublings = round(math.log2(IMAGES[-1] / scale))
        larger = step_of(methods, players, bare, 2 * scale).calls if doublings else small
    check_remembered(acting, scale, before=code)
    modules = modules_of(network_of(bare), players)
    alike: dict[str, _Call] = {}
    for call, grown in zip(small, larger, strict=True):
        one, larger_one = _of_one(call.arguments), _of_one(grown.arguments)
        full = {key: _full(doublings, value, larger_one[key]) for key, value in one.items()}
        judgement = Judgement(modules[call.player].get_submodule(call.part), one, full)
        key, beside = f"{call.player} {call.part} {full}", call.player not in (methods.deployed, SEGMENTATION)
        known = alike.get(key, _Call(judgement, 0.0, beside))
        alike[key] = known._replace(passes=known.passes + call.tally.passes)
    calls = [*alike.values()]
    if methods.deployed != SEGMENTATION and passes:
        # What is trained in its place is only trained; its passes are counted by themselves.
        image = torch.Size((1, 3, *SMALLEST)), torch.Size((1, 3, *SIZE))
        calls.append(_Call(Judgement(modules[SEGMENTATION], {0: image[0]}, {0: image[1]}), 0.0, only_trained=True))
    return _Counted(passes, tuple(calls), domains)


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
