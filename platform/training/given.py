"""Trials of other rows, from which one begins: their networks, untrained for costs and trained for training."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from platform.methods.composition import Composition
from platform.networks.network import Network
from platform.records.one_line import one_line
from platform.shifts.shift import DataError
from platform.training.device.memory import out_of_memory
from platform.training.recipe import Recipe
from platform.training.steps.saved import Damaged, loaded

LONGEST = 200
"""Characters of what was raised."""


class StartLost(DataError):
    """What a trial begins from is not there as it was written."""


@dataclass(frozen=True)
class Given:
    """A complete trial of another row."""

    methods: Composition
    recipe: Recipe
    given: tuple["Given", ...] = ()
    """Those from which it began itself."""
    trial: str = ""
    """Its id; empty before there is one."""


def untrained(given: Given) -> Network:
    """A network like the one that the trial deploys."""
    network = replace(given.recipe, network=given.recipe.network.bare()).build()
    players = given.methods.players(network, [untrained(each) for each in given.given], seed=0)
    return given.methods.deployed_of(network, players)


def trained(given: Given, read: Callable[[str], bytes], device: torch.device) -> Network:
    """The network that the trial deploys, in evaluation and without gradients; `read` gives a trial's checkpoint.

    Raises StartLost.
    """
    network = untrained(given)
    try:
        state = loaded(read(given.trial))
        if state["extra"]["trial"] != given.trial:
            raise Damaged(f"of trial {state['extra']['trial']!r}")
        network.load_state_dict(state["modules"][given.methods.deployed] | state.get("statistics", {}))
    except Exception as error:
        if out_of_memory(error):
            raise
        raise StartLost(
            f"a trial that begins from trial {given.trial} needs its checkpoint, which is gone or damaged "
            f"({type(error).__name__}: {one_line(error, LONGEST)}); bring it back, or start the study over with --fresh"
        ) from error
    return network.to(device).eval().requires_grad_(False)
