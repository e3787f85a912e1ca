"""What the methods of an arm and its recipe cost, counted from what they build and from one step of theirs.

The losses are taken once, on a few made-up images, to see how often the network passes and what each player is given.
The images are as small as the players take them, and the network's predictions for them are those for the smallest
image, enlarged: only shapes matter. Taken again on images twice as large, they show how each dimension grows, up to the
size that costs are for. So a discriminator is counted on what it judges, be it probabilities at the image's size,
features or pooled features, and a teacher on the images that it is shown.
"""

import copy
import functools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from platform.methods.batch import Labelled, Unlabelled, UnlabelledImages
from platform.methods.composition import Composition
from platform.methods.method import SEGMENTATION, Player
from platform.methods.mistakes import explained
from platform.methods.step import Step
from platform.networks import cost
from platform.networks.cost import SIZE, SMALLEST, Arguments, Cost, Judgement
from platform.networks.network import Architecture, Domain, Network, Prediction, upsample
from platform.shifts.definition import definition
from platform.shifts.labels import NUM_CLASSES
from platform.training.given import Given, untrained
from platform.training.recipe import Recipe

IMAGES = [2**doublings for doublings in range(round(math.log2(SIZE[0] / SMALLEST[0])) + 1)]
"""How many times as large as the smallest images those are that methods are tried on."""
BATCH = 2
ROUND, LATE = 720_720_000, 0.999
"""A step at which most rounds begin, and the progress that methods see: whatever they do only after a warm-up, or once
a round has begun, is counted too. What begins a round is not: it is done every so many steps."""
WITH_GRADIENTS = 3
"""What a pass costs with its gradients, in passes: one forward, and about two for its backward."""
Players = tuple[dict[str, Player], ...]
"""The players of each method."""


class Call(NamedTuple):
    """A call of a player."""

    player: str
    arguments: Arguments
    passes: int
    """What it costs, in passes for one image."""


class Uncounted(ValueError):
    """Methods raise where their players are made, or their losses taken, to count what they cost."""


@dataclass(frozen=True)
class _Counted:
    """What was seen of a step."""

    judgements: tuple[Judgement, ...]
    """The calls of players that are only trained, each different one once."""
    passes: float
    """Passes of the segmentation network for one image, those with gradients thrice."""
    calls: tuple[tuple[Judgement, int], ...]
    """All calls of players, with the passes of each."""


def cost_of(methods: Composition, recipe: Recipe, given: tuple[Given, ...] = ()) -> Cost:
    """Parameters and GFLOPs of what methods train by a recipe. Raises Uncounted."""
    return _cost(_acting(methods, recipe, given))


class Estimate(NamedTuple):
    """The fields of a `Cost` that plans show, GFLOPs estimated; `platform.networks.cost` says how near they are."""

    deployed_parameters: int
    discriminator_parameters: int
    step_gflops: float


def estimate_of(methods: Composition, recipe: Recipe, given: tuple[Given, ...] = ()) -> Estimate:
    """What methods cost, for plans, which cannot wait for exact counts. Raises Uncounted."""
    acting = _acting(methods, recipe, given)
    network, counted = _network_estimate(acting.bare), _counted(acting)
    with _own_mistakes(acting):
        calls = sum(passes * cost.estimated_gflops(judgement) for judgement, passes in counted.calls)
        player = _deployed(acting)
        return Estimate(
            cost.called_parameters(player or _network(acting.bare), torch.zeros(1, 3, *SMALLEST)),
            sum(map(cost.parameters, _only_trained(acting, counted.passes > 0).values())),
            counted.passes * network + calls,
        )


def players_of(methods: Composition, recipe: Recipe, given: tuple[Given, ...] = ()) -> Players:
    """The players of a composition, as they are before the first step. Raises Uncounted."""
    return _players(_acting(methods, recipe, given))


class _Acting(NamedTuple):
    """Methods, the network that they train and the trials that they begin from, of all that costs depend on."""

    methods: Composition
    bare: Architecture
    given: tuple[Given, ...]


def _acting(methods: Composition, recipe: Recipe, given: tuple[Given, ...]) -> _Acting:
    return _Acting(methods, recipe.network.bare(), tuple(map(_bare, given)))


def _bare(given: Given) -> Given:
    """The same without what costs do not depend on."""
    return Given(given.methods, Recipe(network=given.recipe.network.bare()), tuple(map(_bare, given.given)))


@functools.lru_cache(maxsize=256)
def _cost(acting: _Acting) -> Cost:
    counted, trained = _counted(acting), _network_cost(acting.bare)
    only_trained = _only_trained(acting, counted.passes > 0)
    with _own_mistakes(acting):
        deployed = _deployed(acting)
        whole = trained if deployed is None else cost.network_cost(copy.deepcopy(deployed).to("meta"))
        calls = sum(passes * cost.judged_gflops(judgement) for judgement, passes in counted.calls)
        return replace(
            cost.with_players(whole, only_trained.values(), counted.judgements),
            step_gflops=counted.passes * trained.deployed_gflops + calls,
        )


@functools.cache
def _network_cost(bare: Architecture) -> Cost:
    with torch.device("meta"):
        return cost.network_cost(_built(bare))


@functools.cache
def _network_estimate(bare: Architecture) -> float:
    return cost.estimated_network_gflops(_network(bare))


@functools.cache
def _network(bare: Architecture) -> Network:
    with torch.random.fork_rng(devices=[]):
        return _built(bare)


def _built(bare: Architecture) -> Network:
    """The network, in evaluation. Raises Uncounted."""
    name = type(bare).__name__
    try:
        network: object = bare.build()
    except Exception as error:
        raise Uncounted(f"{name} cannot be built, since it raises {explained(error)}; mend it") from error
    if not isinstance(network, Network):
        got = type(network).__name__
        raise Uncounted(
            f"{name}.build must return a Network, got {got}; derive its class from platform.networks.Network"
        )
    return network.eval()


@functools.cache
def _smallest_prediction(bare: Architecture) -> Prediction:
    """What the network predicts for one image of the smallest size, with its auxiliary heads. Raises Uncounted."""
    name = type(bare).__name__
    try:
        with torch.no_grad():
            prediction = _network(bare)(torch.zeros(1, 3, *SMALLEST), auxiliary=True)
    except Exception as error:
        raise Uncounted(f"the network {name} cannot be tried, since it raises {explained(error)}; mend it") from error
    if not isinstance(prediction, Prediction):
        got = type(prediction).__name__
        raise Uncounted(f"the network {name} must give a Prediction, got {got}; write Prediction(logits, (), features)")
    for logits in (prediction.logits, *prediction.auxiliary):
        if logits.shape[:2] != (1, NUM_CLASSES) or logits.ndim != 4:
            raise Uncounted(
                f"the network {name} must give logits of {NUM_CLASSES} classes, (batch, {NUM_CLASSES}, rows, columns), "
                f"got shape {tuple(logits.shape)} for one image; give its last layer {NUM_CLASSES} channels"
            )
    return prediction


@functools.lru_cache(maxsize=256)
def _players(acting: _Acting) -> Players:
    methods = acting.methods
    with torch.random.fork_rng(devices=[]), _own_mistakes(acting):
        given = [untrained(each) for each in acting.given]
        network = _built(acting.bare).train()
        methods.start(network, given)
        players = methods.players(network, given, seed=0)
    for each in players:
        for player in each.values():
            player.module.eval()
    return players


def _deployed(acting: _Acting) -> Network | None:
    """The player that is deployed; None for the segmentation network itself."""
    network = _network(acting.bare)
    deployed = acting.methods.deployed_of(network, _players(acting))
    return None if deployed is network else deployed


def _only_trained(acting: _Acting, network_is_used: bool) -> dict[str, nn.Module]:
    """The modules that are trained, or help to train, and are not deployed."""
    modules: dict[str, nn.Module] = {SEGMENTATION: _network(acting.bare)} if network_is_used else {}
    modules |= {name: player.module for players in _players(acting) for name, player in players.items()}
    modules.pop(acting.methods.deployed, None)
    return modules


@functools.lru_cache(maxsize=256)
def _counted(acting: _Acting) -> _Counted:
    """One step of the methods, for one image."""
    methods, bare, players = acting.methods, acting.bare, _players(acting)
    code = _own_code(methods)
    with _own_mistakes(acting):
        scale, small, passes = _smallest_step(methods, players, bare)
        doublings = round(math.log2(IMAGES[-1] / scale))
        larger = _step_of(methods, players, bare, 2 * scale)[0] if doublings else small
    if _own_code(methods) != code:
        raise Uncounted(
            f"{methods.name} must remember in its players alone, got what its losses changed elsewhere, as in an "
            "attribute or a dictionary, which an interrupted study would forget; make it a buffer of a player, or take "
            "functools.cache for what can be computed again"
        )
    modules = {name: player.module for each in players for name, player in each.items()}
    judgements: dict[str, Judgement] = {}
    calls = []
    for call, grown in zip(small, larger, strict=True):
        one, larger_one = _of_one(call.arguments), _of_one(grown.arguments)
        full = {key: _full(doublings, value, larger_one[key]) for key, value in one.items()}
        judgement = Judgement(modules[call.player], one, full)
        calls.append((judgement, call.passes))
        if call.player != methods.deployed:
            judgements.setdefault(f"{call.player} {full}", judgement)
    if methods.deployed != SEGMENTATION and passes:
        # What is trained in its place is only trained.
        image = torch.Size((1, 3, *SMALLEST)), torch.Size((1, 3, *SIZE))
        judgements[SEGMENTATION] = Judgement(_network(bare), {0: image[0]}, {0: image[1]})
    return _Counted(tuple(judgements.values()), passes, tuple(calls))


def _smallest_step(methods: Composition, players: Players, bare: Architecture) -> tuple[int, list[Call], float]:
    """A step on the smallest images that all players take, and how many times the smallest size those have."""
    for scale in IMAGES[:-1]:
        try:
            return scale, *_step_of(methods, players, bare, scale)
        except (RuntimeError, ValueError):
            continue  # a convolution raises when its input is smaller than its kernel
    return IMAGES[-1], *_step_of(methods, players, bare, IMAGES[-1])


def _step_of(methods: Composition, players: Players, bare: Architecture, scale: int) -> tuple[list[Call], float]:
    """The calls of the players, and the network's passes, in a step on images some times as large as the smallest."""
    calls: list[Call] = []

    def note(name: str, module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        given: list[tuple[int | str, Any]] = [*enumerate(inputs), *named.items()]
        shapes = {key: value.shape if isinstance(value, Tensor) else value for key, value in given}
        calls.append(Call(name, shapes, _passes()))

    modules = {name: player.module for each in players for name, player in each.items()}
    handles = [
        module.register_forward_pre_hook(partial(note, name), with_kwargs=True) for name, module in modules.items()
    ]
    size = (SMALLEST[0] * scale, SMALLEST[1] * scale)
    network, segment = copy.deepcopy(_network(bare)), _Enlarging(_smallest_prediction(bare), math.prod(size))
    handles.append(network.register_forward_pre_hook(lambda _, inputs: segment.count(inputs[0])))
    try:
        with torch.random.fork_rng(devices=[]):
            for number in (ROUND - 1, ROUND, ROUND + 1):
                calls.clear()
                segment.passes = 0.0
                step = replace(_step(methods, network, segment, size), number=number)
                with torch.enable_grad():
                    methods.losses(step, players)
                if methods.updates:
                    with torch.no_grad():
                        methods.update(step, players)
    finally:
        for handle in handles:
            handle.remove()
    return calls, segment.passes


def _step(methods: Composition, network: Network, segment: "_Enlarging", size: tuple[int, int]) -> Step:
    indices = torch.arange(BATCH)
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, *size, 3), np.uint8)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    labels = torch.zeros(BATCH, *size, dtype=torch.int64)
    zeros = torch.zeros_like(indices)
    return Step(
        number=ROUND,
        progress=LATE,
        batches={
            name: Unlabelled(images, indices) if name == "target" else Labelled(images, labels, indices, zeros)
            for name in methods.reads
        },
        network=network,
        segment=segment,
        modules={},
        random=np.random.default_rng(0),
        auxiliary_weight=1.0,
        images=UnlabelledImages(pixels, torch.device("cpu")),
    )


@dataclass
class _Enlarging:
    """Passes that give the prediction for the smallest image as one for these images, and are counted."""

    prediction: Prediction
    pixels: int
    """Those of a whole image."""
    passes: float = field(default=0.0)

    def __call__(self, images: Tensor, domain: Domain) -> Prediction:
        self.count(images)
        # So that a gradient with respect to the images can be asked for, as by adversarial perturbations.
        nothing = 0.0 * images.mean() + torch.zeros((), requires_grad=torch.is_grad_enabled())

        def enlarge(small: Tensor) -> Tensor:
            sides = zip(small.shape[-2:], images.shape[-2:], SMALLEST, strict=True)
            size = tuple(math.ceil(side * image / smallest) for side, image, smallest in sides)
            return upsample(small, size).expand(len(images), -1, -1, -1) + nothing

        auxiliary = tuple(map(enlarge, self.prediction.auxiliary))
        return Prediction(enlarge(self.prediction.logits), auxiliary, enlarge(self.prediction.features))

    labelled = __call__

    def count(self, images: Tensor) -> None:
        """Count a pass of these images."""
        self.passes += _passes() * len(images) / BATCH * math.prod(images.shape[-2:]) / self.pixels


@contextmanager
def _own_mistakes(acting: _Acting) -> Iterator[None]:
    """Say what a method raises as it is tried, and where, in one line."""
    try:
        yield
    except Uncounted:
        raise
    except Exception as error:
        name = acting.methods.name
        if type(error) is ValueError and str(error).startswith(name.split(" + ")[0]):
            raise Uncounted(explained(error).removeprefix("ValueError: ")) from error
        begins = acting.methods.deployed != SEGMENTATION and not acting.given
        after = ", or write .after(...), if it begins from other rows" if begins else ""
        raise Uncounted(f"{name} cannot be tried, since it raises {explained(error)}; mend it{after}") from error


def _own_code(methods: Composition) -> str:
    """What the user's code of these methods holds at this moment."""
    return definition.__wrapped__(*map(type, methods.methods))


def _passes() -> int:
    return WITH_GRADIENTS if torch.is_grad_enabled() else 1


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
