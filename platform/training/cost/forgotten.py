"""What a method would forget when its study is interrupted, found before anything trains.

Three steps are taken twice: in one go, and with all that a checkpoint holds restored into new objects before the last.
Of what is remembered elsewhere for longer, nothing more is known than that the code still holds what it held.
"""

import copy
import functools
from collections.abc import Mapping

import torch
from torch import Tensor

from platform.methods.composition import Composition
from platform.networks.cost import SMALLEST
from platform.networks.hyperparameters import field_values
from platform.networks.network import Architecture, Network
from platform.shifts.definition import definition
from platform.shifts.definition.owners import is_users
from platform.training.cost.tried import (
    NUMBERS,
    Acting,
    Players,
    Uncounted,
    built,
    enlarging,
    network_of,
    players_of,
    smallest_prediction,
    take,
)
from platform.training.steps.saved import resize


def held(methods: Composition) -> str:
    """What the user's code of these methods holds at this moment."""
    return definition.__wrapped__(*map(type, methods.methods))


def check_remembered(acting: Acting, scale: int, before: str) -> None:
    """Raise Uncounted where a method of the user's remembers anything outside of its players' states.

    `before` is what its code held before any step was tried.
    """
    methods = acting.methods
    if held(methods) != before:
        raise Uncounted(
            f"{methods.name} must remember in its players alone, got what its losses or its update changed elsewhere, "
            "as in an attribute or a dictionary, which an interrupted study would forget; make it a buffer of a "
            "player, or take functools.cache for what can be computed again"
        )
    if any(is_users(type(method).__module__) for method in methods.methods) and (
        _last_losses(acting, scale, interrupted=True) != _last_losses(acting, scale, interrupted=False)
    ):
        raise Uncounted(
            f"{methods.name} must go on from a checkpoint as if it had not been interrupted, got other losses in the "
            "next step; keep what it remembers in buffers of its players, and draw from step.random or from torch"
        )


@functools.cache
def check_network(bare: Architecture) -> None:
    """Raise Uncounted where a network of the user's remembers anything outside of its state. Raises what it raises."""
    if not is_users(type(bare).__module__):
        return
    smallest_prediction(bare)
    images = torch.zeros(2, 3, *SMALLEST)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = built(bare).train()
        network(images)
        restored = built(bare).train()
        restored.load_state_dict(copy.deepcopy(network.state_dict()))
        predicted = []
        for each in (network, restored):
            torch.manual_seed(1)
            predicted.append(each(images).logits)
    if not torch.equal(*predicted):
        raise Uncounted(
            f"{type(bare).__name__} must go on from a checkpoint as if it had not been interrupted, got another "
            "prediction in the next pass; keep what the network remembers in its buffers"
        )


def _last_losses(acting: Acting, scale: int, interrupted: bool) -> dict[str, str]:
    """The losses of the last of the steps, exactly."""
    with torch.random.fork_rng(devices=[]):
        methods, players, network = _made(acting)
        losses: Mapping[str, Tensor] = {}
        for number in NUMBERS:
            if interrupted and number == NUMBERS[-1]:
                saved, state = players, network.state_dict()
                methods, players, network = _made(acting)
                network.load_state_dict(state)
                _restore(players, saved)
            torch.manual_seed(number)
            losses = take(methods, players, network, enlarging(acting.bare, scale), number)
        return {name: float(loss.detach()).hex() for name, loss in losses.items()}


def _made(acting: Acting) -> tuple[Composition, Players, Network]:
    """The methods, their players and the network, all new."""
    torch.manual_seed(0)
    methods = Composition(tuple(type(method)(**field_values(method)) for method in acting.methods.methods))
    players = players_of.__wrapped__(acting._replace(methods=methods))
    return methods, players, copy.deepcopy(network_of(acting.bare))


def _restore(players: Players, saved: Players) -> None:
    for each, others in zip(players, saved, strict=True):
        for name, player in each.items():
            state = copy.deepcopy(others[name].module.state_dict())
            resize(player.module, state, torch.device("cpu"))
            player.module.load_state_dict(state)
