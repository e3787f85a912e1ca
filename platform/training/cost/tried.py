"""Methods and networks, built and tried on a few made-up images: how costs are counted, and mistakes found early.

The images are as small as the players take them, and the network's predictions for them are those for the smallest
image, enlarged: only shapes matter.
"""

import copy
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import FrozenInstanceError, dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from platform.methods.batch import Labelled, Unlabelled, UnlabelledImages, unplaced
from platform.methods.composition import Composition, modules_of
from platform.methods.method import SEGMENTATION, Player
from platform.methods.step import Moment, Passes, Step
from platform.networks.cost import SIZE, SMALLEST, Arguments, layer_operations
from platform.networks.network import Architecture, Domain, Network, Prediction
from platform.networks.operations.upsampling import upsample
from platform.records.one_line import one_line
from platform.shifts.definition.mistakes import LONGEST, explained
from platform.shifts.labels import NUM_CLASSES
from platform.shifts.shift import Images, LabelledImages
from platform.training.cost.gradients import UNKNOWN, Layers, Tally, Walks, pass_of
from platform.training.cost.watched import Asked, calls_noted, unchanged
from platform.training.given import Given, untrained
from platform.training.recipe import Recipe
from platform.training.steps.passes import check_domain

T = TypeVar("T")
IMAGES = [2**doublings for doublings in range(round(math.log2(SIZE[0] / SMALLEST[0])) + 1)]
"""How many times as large as the smallest images those are that methods are tried on."""
BATCH, ADAPTED = 2, 8
ROUND, LATE = 720_720_000, 0.999
NUMBERS = (ROUND - 1, ROUND, ROUND + 1)
"""Steps, one of them such that most rounds begin at it, and the progress that methods see: whatever they do only after
a warm-up, or once a round has begun, is counted too. What begins a round is not: it is done every so many steps."""
STEPS = round(ROUND / LATE)
"""Of the run that these are steps of."""
Players = tuple[dict[str, Player], ...]
"""The players of each method."""


class Call(NamedTuple):
    """A call of a player, or of a part of one that the method calls by itself."""

    player: str
    part: str
    """The name of the part within the player; empty for the whole."""
    arguments: Arguments
    tally: Tally
    """What its layers multiply, forward and for gradients."""


class Tried(NamedTuple):
    """What was seen of a step."""

    calls: list[Call]
    """Of players."""
    passes: float
    """What the segmentation network takes, in passes of a whole batch that predict."""
    domains: frozenset[Domain]
    """Whose images it passes."""


class Uncounted(ValueError):
    """Methods raise where their players are made, or their losses taken, to count what they cost."""


class Passing(Passes, Protocol):
    """Passes of the segmentation network as a step is tried on them."""

    walks: Walks
    """The ways back through the step's graph."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a whole image."""

    @property
    def leaf(self) -> Float[Tensor, ""]:
        """What the segmentation network's loss may depend on beside its weights."""


class Acting(NamedTuple):
    """Methods, the network that they train and the trials that they begin from, of all that costs depend on."""

    methods: Composition
    bare: Architecture
    given: tuple[Given, ...]


def acting_of(methods: Composition, recipe: Recipe, given: tuple[Given, ...]) -> Acting:
    """Methods and their recipe without what costs do not depend on. Raises Uncounted."""
    return Acting(methods, _bare(recipe.network), tuple(map(_bare_given, given)))


def _bare_given(given: Given) -> Given:
    return Given(given.methods, Recipe(network=_bare(given.recipe.network)), tuple(map(_bare_given, given.given)))


def _bare(architecture: Architecture) -> Architecture:
    """The description without weights that are fetched. Raises Uncounted."""
    with own_network(architecture):
        bare: object = architecture.bare()
    if not isinstance(bare, Architecture):
        got, name = type(bare).__name__, type(architecture).__name__
        raise Uncounted(f"{name}.bare must return an Architecture, got {got}; leave it out where nothing is fetched")
    return bare


@functools.cache
def network_of(bare: Architecture) -> Network:
    """The network that a description without fetched weights builds, in evaluation. Raises Uncounted."""
    with torch.random.fork_rng(devices=[]):
        return built(bare)


@contextmanager
def own_network(architecture: Architecture) -> Iterator[None]:
    """Say what a network raises as it is tried, and where, in one line."""
    try:
        yield
    except Uncounted:
        raise
    except (Exception, SystemExit) as error:
        name = type(architecture).__name__
        raise Uncounted(f"the network {name} cannot be tried, since it raises {explained(error)}; mend it") from error


def built(bare: Architecture) -> Network:
    """The network, in evaluation. Raises Uncounted."""
    name = type(bare).__name__
    try:
        network: object = bare.build()
    except (Exception, SystemExit) as error:
        raise Uncounted(f"{name} cannot be built, since it raises {explained(error)}; mend it") from error
    if not isinstance(network, Network):
        got = type(network).__name__
        raise Uncounted(
            f"{name}.build must return a Network, got {got}; derive its class from platform.networks.Network"
        )
    return network.eval()


@functools.cache
def smallest_prediction(bare: Architecture) -> Prediction:
    """What the network predicts for one image of the smallest size, with its auxiliary heads. Raises Uncounted."""
    with own_network(bare):
        return _prediction(f"the network {type(bare).__name__}", network_of(bare))


def _prediction(name: str, network: Network) -> Prediction:
    """What a network predicts for one image of the smallest size. Raises Uncounted for what cannot be scored."""
    with torch.no_grad():
        prediction: object = network(torch.zeros(1, 3, *SMALLEST), auxiliary=True)
    if not isinstance(prediction, Prediction):
        got = type(prediction).__name__
        raise Uncounted(f"{name} must give a Prediction, got {got}; write Prediction(logits, (), features)")
    for logits in (prediction.logits, *prediction.auxiliary):
        if logits.ndim != 4 or logits.shape[:2] != (1, NUM_CLASSES):
            raise Uncounted(
                f"{name} must give logits of {NUM_CLASSES} classes, (batch, {NUM_CLASSES}, rows, columns), got shape "
                f"{tuple(logits.shape)} for one image; give its last layer {NUM_CLASSES} channels"
            )
    features: object = prediction.features
    if not isinstance(features, Tensor) or features.ndim != 4 or len(features) != 1:
        got = f"shape {tuple(features.shape)}" if isinstance(features, Tensor) else type(features).__name__
        raise Uncounted(
            f"{name} must give features, (batch, channels, rows, columns), got {got} for one image; give what its last "
            "layer sees"
        )
    return prediction


@functools.lru_cache(maxsize=256)
def players_of(acting: Acting) -> Players:
    """The players of the methods, as they are before the first step. Raises Uncounted."""
    methods = acting.methods
    with torch.random.fork_rng(devices=[]), own_mistakes(acting, begins=True):
        given = Asked(untrained(each) for each in acting.given)
        network = built(acting.bare).train()
        methods.start(network, given)
        players = methods.players(network, given, seed=0)
    if given and not given.asked:
        raise Uncounted(
            f"{methods.name} must take something from the rows that its arm comes after, got nothing; its `start` may "
            "call super().start(network, given), which takes the weights of the first"
        )
    for each in players:
        for player in each.values():
            player.module.eval()
    return players


def deployed_of(acting: Acting) -> Network | None:
    """The player that is deployed; None for the segmentation network itself."""
    network = network_of(acting.bare)
    deployed = acting.methods.deployed_of(network, players_of(acting))
    if deployed is network:
        return None
    _prediction(f"what {acting.methods.name} deploys, {acting.methods.deployed},", deployed)
    return deployed


def on_smallest(scales: Sequence[int], tried: Callable[[int], T]) -> tuple[int, T]:
    """The first scale at which it can be tried, and what that gives; raises what it raises at the last."""
    *smaller, largest = scales
    for scale in smaller:
        # A convolution raises when its input is smaller than its kernel.
        with suppress(RuntimeError, ValueError):
            return scale, tried(scale)
    return largest, tried(largest)


def step_of(methods: Composition, players: Players, bare: Architecture, scale: int) -> Tried:
    """A step on images some times as large as the smallest."""
    calls: list[Call] = []
    whole: list[tuple[float, Tally]] = []
    network, segment = copy.deepcopy(network_of(bare)), enlarging(bare, scale)
    layers = Layers(segment.walks, Tally(differentiates=False))

    def note(name: str, part: str, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        given: list[tuple[int | str, Any]] = [*enumerate(inputs), *named.items()]
        layers.tally = Tally(torch.is_grad_enabled())
        if (name, part) == (SEGMENTATION, ""):
            whole.append((segment.share(next(value for _, value in given if isinstance(value, Tensor))), layers.tally))
        else:
            shapes = {key: value.shape if isinstance(value, Tensor) else value for key, value in given}
            calls.append(Call(name, part, shapes, layers.tally))

    modules = modules_of(network, players)
    with calls_noted(modules, note), layers.watched(modules), torch.random.fork_rng(devices=[]):
        methods.weights(_labelled_images(segment.size))
        for number in NUMBERS:
            calls.clear()
            whole.clear()
            segment.passes = 0.0
            take(methods, players, network, segment, number)
    passes = segment.passes + sum(share * tally.passes for share, tally in whole)
    return Tried(calls, passes, frozenset(segment.domains))


def take(
    methods: Composition, players: Players, network: Network, segment: Passing, number: int | None
) -> Mapping[str, Float[Tensor, ""]]:
    """Take a step of this number, all gradients as a run takes them, and give its losses.

    None is a step that is recorded, which the CPU tells nothing.
    """
    step = _step(methods, network, segment, number)
    with torch.enable_grad(), unchanged(methods.name, modules_of(network, players)):
        losses = methods.losses(step, players)
    if segment.leaf.grad is not None:
        raise ValueError(f"{methods.name}.losses must return losses and differentiate none; leave out .backward()")
    modules = modules_of(network, players)
    for position, name in enumerate(sorted(losses, key=lambda name: name == SEGMENTATION)):
        own = [parameter for parameter in modules[name].parameters() if parameter.requires_grad]
        learned = [*own, segment.leaf] if name == SEGMENTATION else own
        with segment.walks.back(name):
            torch.autograd.grad(losses[name], learned, retain_graph=position < len(losses) - 1, allow_unused=True)
    if methods.updates:
        with torch.no_grad():
            methods.update(step, players)
    return losses


def _pixels(size: tuple[int, int], number: int = BATCH) -> UInt8[np.ndarray, "number height width 3"]:
    return np.random.default_rng(0).integers(0, 256, (number, *size, 3), np.uint8)


def _labelled_images(size: tuple[int, int]) -> LabelledImages:
    images = Images(_pixels(size), tuple(f"{number}.png" for number in range(BATCH)))
    return LabelledImages(images, np.zeros((BATCH, *size), np.uint8))


def _step(methods: Composition, network: Network, segment: Passing, number: int | None) -> Step:
    size = segment.size
    indices = torch.arange(BATCH)
    pixels = _pixels(size, ADAPTED)
    images = torch.from_numpy(pixels[:BATCH]).permute(0, 3, 1, 2).float()
    labels = torch.zeros(BATCH, *size, dtype=torch.int64)
    zeros = torch.zeros_like(indices)
    target, labelled = Unlabelled(images, indices), Labelled(images, labels, indices, zeros)
    batches = {name: target if name == "target" else labelled for name in methods.reads}
    if "source" in methods.reads:
        batches["source"] = methods.translate(labelled, target, {})
    if number is None:
        batches = {name: unplaced(batch) for name, batch in batches.items()}
    return Step(
        moment=None if number is None else Moment(number, np.random.default_rng(0), STEPS),
        progress=torch.tensor(LATE),
        batches=batches,
        network=network,
        segment=segment,
        modules={},
        auxiliary_weight=1.0,
        images=None if number is None else UnlabelledImages(pixels, torch.device("cpu")),
    )


def enlarging(bare: Architecture, scale: int) -> "Enlarging":
    """The passes of a network in a step on images some times as large as the smallest."""
    return Enlarging(smallest_prediction(bare), (SMALLEST[0] * scale, SMALLEST[1] * scale), *_pass_of(bare))


@functools.cache
def _pass_of(bare: Architecture) -> tuple[float, float]:
    """What a pass in training costs, and what all gradients of it do, in passes that predict."""
    image = torch.zeros(1, 3, *SMALLEST)
    with own_network(bare), torch.random.fork_rng(devices=[]):
        network = copy.deepcopy(network_of(bare))
        tally, predicting = pass_of(network, SEGMENTATION, image), layer_operations(network, image) // 2
    if not predicting:
        return 1.0, UNKNOWN - 1
    return tally.forward / predicting, tally.backward / predicting


@dataclass
class Enlarging:
    """Passes that give the prediction for the smallest image as one for these images, and are counted."""

    prediction: Prediction
    size: tuple[int, int]
    """Height and width of a whole image."""
    forward: float = 1.0
    """What a pass costs, in passes that predict: auxiliary heads are passed, too."""
    backward: float = 2.0
    """What the gradients of all weights cost, in passes that predict."""
    passes: float = 0.0
    leaf: Float[Tensor, ""] = field(default_factory=lambda: torch.zeros((), requires_grad=True))
    """What all predictions depend on, in the weights' place: it has a gradient once anybody has called `backward`."""
    walks: Walks = field(default_factory=Walks)
    domains: set[Domain] = field(default_factory=set)

    def __call__(self, images: Float[Tensor, "batch 3 height width"], domain: Domain) -> Prediction:
        """The prediction for these images, of the right shapes."""
        check_domain(domain)
        self.domains.add(domain)
        share = self.share(images)
        self.passes += share * self.forward
        # So that a gradient with respect to the images can be asked for, as by adversarial perturbations.
        nothing = 0.0 * images.mean()
        if nothing.requires_grad:
            nothing.register_hook(partial(self._walked, share))  # type: ignore[no-untyped-call]
        if torch.is_grad_enabled():
            weights = 1.0 * self.leaf
            weights.register_hook(partial(self._walked, share * self.backward))  # type: ignore[no-untyped-call]
            nothing = nothing + weights

        def enlarge(small: Tensor) -> Tensor:
            sides = zip(small.shape[-2:], images.shape[-2:], SMALLEST, strict=True)
            size = tuple(math.ceil(side * image / smallest) for side, image, smallest in sides)
            return upsample(small, size).expand(len(images), -1, -1, -1) + nothing

        auxiliary = tuple(map(enlarge, self.prediction.auxiliary))
        return Prediction(enlarge(self.prediction.logits), auxiliary, enlarge(self.prediction.features))

    labelled = __call__

    def share(self, images: Float[Tensor, "batch 3 height width"]) -> float:
        """The pass of these images, in passes of one image for each of a batch."""
        return len(images) / BATCH * math.prod(images.shape[-2:]) / math.prod(self.size)

    def _walked(self, passes: float, _: Tensor) -> None:
        self.passes += passes


@contextmanager
def own_mistakes(acting: Acting, begins: bool = False) -> Iterator[None]:
    """Say what a method raises as it is tried, and where, in one line; `begins` where it may take what it is given."""
    try:
        yield
    except Uncounted:
        raise
    except (Exception, SystemExit) as error:
        name, own = acting.methods.name, tuple(type(method).__name__ for method in acting.methods.methods)
        if type(error) is ValueError and str(error).startswith(own):
            # A rule of the method's own says what to write; the line that it stands at would be no help.
            raise Uncounted(one_line(error, LONGEST)) from error
        remedy = "mend it"
        if isinstance(error, FrozenInstanceError):
            remedy = "what it remembers is a buffer of a player of its own, see `players`"
        elif not acting.given and (
            acting.methods.deployed != SEGMENTATION or (begins and isinstance(error, IndexError))
        ):
            remedy = "mend it, or write .after(...), if it begins from other rows"
        raise Uncounted(f"{name} cannot be tried, since it raises {explained(error)}; {remedy}") from error
