"""The methods of one arm as one: translations in turn, losses added, players side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from platform.methods.batch import Labelled, Unlabelled
from platform.methods.method import SEGMENTATION, Method, Player
from platform.methods.step import Step
from platform.networks.hyperparameters import field_names, field_values
from platform.networks.network import Network
from platform.records.one_line import one_line
from platform.shifts.definition.mistakes import explained
from platform.shifts.shift import Arrays, DataError, LabelledImages

READS = frozenset({"source", "target", "few", "oracle"})
Memory = dict[int, dict[int, Tensor]]
"""What each method, by its position, keeps of target images, by their index."""


@dataclass(frozen=True)
class Composition:
    """One method or several, acting together."""

    methods: tuple[Method, ...]

    @property
    def name(self) -> str:
        """`FDA + Adversarial`."""
        return " + ".join(type(method).__name__ for method in self.methods)

    @property
    def reads(self) -> frozenset[str]:
        """What any of the methods reads."""
        return frozenset().union(*(reads_of(type(method)) for method in self.methods))

    @property
    def deployed(self) -> str:
        """The player that is evaluated and deployed."""
        named = (type(method).deployed for method in self.methods)
        return next((name for name in named if name != SEGMENTATION), SEGMENTATION)

    @property
    def warm_up(self) -> float:
        """Fraction of the steps before all act at full strength."""
        return max(method.warm_up for method in self.methods)

    @property
    def values(self) -> dict[str, Any]:
        """The hyperparameters of all methods."""
        return {name: value for method in self.methods for name, value in field_values(method).items()}

    def data(self) -> dict[str, str]:
        """Digests of the files that methods read, by method. Raises DataError without them."""
        read = {}
        for method in self.methods:
            name = type(method).__name__
            try:
                digest: object = method.data()
            except DataError:
                raise
            except (Exception, SystemExit) as error:
                raise DataError(f"{name}.data raises {explained(error)}; bring what it reads, or mend it") from error
            if not isinstance(digest, str | None):
                raise DataError(f"{name}.data must return a digest, as text, or None, got {type(digest).__name__}")
            if digest is not None:
                read[name] = digest
        return read

    def start(self, network: Network, given: Sequence[Network]) -> None:
        """Change the network before its first step: each method that says how, else as all of them do."""
        own = [method for method in self.methods if type(method).start is not Method.start]
        for method in own or self.methods[:1]:
            started: object = method.start(network, given)  # type: ignore[func-returns-value]
            if started is not None:
                raise ValueError(
                    f"{type(method).__name__}.start must change the network that it is given, and return None, got "
                    f"{type(started).__name__}; load what it begins from with network.load_state_dict(...)"
                )

    def deployed_of(self, network: Network, players: Sequence[Mapping[str, Player]]) -> Network:
        """The network that is evaluated and deployed."""
        deployed = modules_of(network, players)[self.deployed]
        assert isinstance(deployed, Network)
        return deployed

    def players(self, network: Network, given: Sequence[Network], seed: int) -> tuple[dict[str, Player], ...]:
        """The players of each method; each draws its weights from `seed`, whichever methods are beside it."""
        players = []
        for method in self.methods:
            torch.manual_seed(seed)
            given_players: object = method.players(network, given)
            if not isinstance(given_players, Mapping):
                raise ValueError(
                    f"{type(method).__name__}.players must return players by their names, got "
                    f"{type(given_players).__name__}; write {{'teacher': Player(module)}}"
                )
            own = dict(given_players)
            for name, player in own.items():
                module = player.module if isinstance(player, Player) else None
                if not isinstance(module, nn.Module):
                    got = (
                        f"a Player of {type(module).__name__}" if isinstance(player, Player) else type(player).__name__
                    )
                    raise ValueError(
                        f"{type(method).__name__}.players must give {name} as a Player of a module, got {got}; write "
                        "Player(module), or Player(module, optimiser)"
                    )
            players.append(own)
        names = [name for each in players for name in each]
        if taken := sorted({name for name in names if names.count(name) > 1} | ({SEGMENTATION} & {*names})):
            raise ValueError(f"{self.name}: each player must have a name of its own, got {taken[0]!r} twice; rename it")
        modules = modules_of(network, players)
        self._check_own_weights(modules)
        if not isinstance(deployed := modules.get(self.deployed), Network):
            known = ", ".join(modules)
            got = repr(self.deployed) if deployed is None else f"{self.deployed}, a {type(deployed).__name__}"
            raise ValueError(f"{self.name}.deployed must name a player that is a Network, of {known}, got {got}")
        return tuple(players)

    def _check_own_weights(self, modules: Mapping[str, nn.Module]) -> None:
        """Raise ValueError for a player that holds weights of the network, which would be trained, or frozen, twice."""
        owned = set(modules[SEGMENTATION].parameters())
        for name, module in modules.items():
            if name != SEGMENTATION and not owned.isdisjoint(module.parameters()):
                raise ValueError(
                    f"{self.name}: a player must be a module of the method's own, got weights of the network, which is "
                    f"the player {SEGMENTATION} already, in {name}; copy it, by copy.deepcopy"
                )

    def weights(self, labelled: LabelledImages) -> Float[np.ndarray, " number"] | None:
        """How often each source image is drawn, as shares that add up to 1."""
        drawing = [method for method in self.methods if "source" in reads_of(type(method))]
        given = [(method, weights) for method in drawing if (weights := method.weights(labelled)) is not None]
        if not given:
            return None
        if len(given) > 1:
            names = " and ".join(type(method).__name__ for method, _ in given)
            raise ValueError(f"one method of an arm may say how often images are drawn, got {names}; leave one out")
        weights = np.asarray(given[0][1], np.float64)
        if (
            weights.shape != (len(labelled),)
            or not np.isfinite(weights).all()
            or (weights < 0).any()
            or not weights.any()
        ):
            raise ValueError(
                f"{type(given[0][0]).__name__}.weights must be {len(labelled)} finite numbers of at least 0, one for "
                f"each source image and not all of them 0, got shape {weights.shape}: "
                + one_line(repr(given[0][1]), 100)
            )
        shares: Float[np.ndarray, " number"] = weights / weights.sum()
        return shares

    def source_images(self, labelled: LabelledImages) -> Arrays | None:
        """What is trained on in the place of the source's images; None for the images themselves."""
        drawing = [method for method in self.methods if "source" in reads_of(type(method))]
        given = [(method, images) for method in drawing if (images := method.source_images(labelled)) is not None]
        if not given:
            return None
        if len(given) > 1:
            names = " and ".join(type(method).__name__ for method, _ in given)
            raise ValueError(f"one method of an arm may replace the source's images, got {names}; leave one out")
        arrays: object = given[0][1]
        if not isinstance(arrays, Arrays) or arrays.shape != labelled.images.pixels.shape:
            got = f"shape {arrays.shape}" if isinstance(arrays, Arrays) else type(arrays).__name__
            raise ValueError(
                f"{type(given[0][0]).__name__}.source_images must be uint8 arrays in the shape of the source's images, "
                f"{labelled.images.pixels.shape}, got {got}"
            )
        return arrays

    def translate(self, source: Labelled, target: Unlabelled | None, memory: Memory) -> Labelled:
        """The source batch, translated by each method in turn."""
        for position, method in enumerate(self.methods):
            if "source" not in (reads := reads_of(type(method))):
                continue
            own = memory.setdefault(position, {})
            shown = target if "target" in reads else None
            images: object = method.translate(source, shown, own)
            if not isinstance(images, Tensor) or (images.shape, images.dtype) != (source.images.shape, torch.float32):
                got = f"{images.dtype} {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
                raise ValueError(
                    f"{type(method).__name__}.translate must return images of float32 as the source's, "
                    f"{tuple(source.images.shape)}, in [0, 255], got {got}"
                )
            source = replace(source, images=images)
        return source

    def losses(self, step: Step, players: Sequence[Mapping[str, Player]]) -> dict[str, Float[Tensor, ""]]:
        """The loss of each player that has one, that of the segmentation network with the labelled cross-entropy."""
        total: dict[str, Tensor | None] = {SEGMENTATION: step.supervised()}
        for method, own in zip(self.methods, players, strict=True):
            given = method.losses(_seen(step, method, own))
            _check_losses(method, given, own)
            for name, loss in given.items():
                before = total.get(name)
                total[name] = loss if before is None else before if loss is None else before + loss
        losses = {name: loss for name, loss in total.items() if loss is not None}
        modules = modules_of(step.network, players)
        for name in losses:
            if not any(parameter.requires_grad for parameter in modules[name].parameters()):
                raise ValueError(
                    f"{self.name}: what has a loss must have parameters that take gradients, got none in {name}; see "
                    "where requires_grad is switched off, or leave its loss out"
                )
        return losses

    def update(self, step: Step, players: Sequence[Mapping[str, Player]]) -> None:
        """Let each method change its players."""
        for method, own in zip(self.methods, players, strict=True):
            updated: object = method.update(_seen(step, method, own))  # type: ignore[func-returns-value]
            if updated is not None:
                raise ValueError(
                    f"{type(method).__name__}.update must change its players and return None, got "
                    f"{type(updated).__name__}; step.note puts numbers on record"
                )

    @property
    def updates(self) -> bool:
        """Whether any method changes its players after a step."""
        return any(type(method).update is not Method.update for method in self.methods)

    @property
    def acts(self) -> bool:
        """Whether steps do anything: what votes, say, is complete before the first."""
        return any(acts(type(method)) for method in self.methods)


def modules_of(network: Network, players: Sequence[Mapping[str, Player]]) -> dict[str, nn.Module]:
    """The modules of all players by name, the segmentation network first."""
    return {SEGMENTATION: network} | {name: player.module for own in players for name, player in own.items()}


def check_together(methods: Sequence[type[Method]]) -> None:
    """Raise ValueError unless these classes can be the methods of one arm."""
    names = [method.__name__ for method in methods]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"the methods of an arm must differ, got {repeated[0]} twice; leave one out")
    owners: dict[str, str] = {}
    for method in methods:
        reads_of(method)
        for field in field_names(method):
            if field in owners:
                raise ValueError(
                    f"the methods of an arm must have different fields, got {field!r} of both {owners[field]} and "
                    f"{method.__name__}; derive a class that names it otherwise"
                )
            owners[field] = method.__name__
    for method in methods if len(methods) > 1 else ():
        if method.deployed != SEGMENTATION and not acts(method):
            others = " and ".join(name for name in names if name != method.__name__)
            raise ValueError(
                f"{method.__name__} deploys what it begins from, and nothing that is trained beside it, got {others}; "
                f"write Arm({method.__name__}) alone"
            )
    if len(deployed := {method.deployed for method in methods} - {SEGMENTATION}) > 1:
        raise ValueError(f"one player of an arm is deployed, got {' and '.join(sorted(deployed))}; leave one out")


def acts(method: type[Method]) -> bool:
    """Whether a method does anything in a step."""
    return bool(reads_of(method)) or method.losses is not Method.losses or method.update is not Method.update


def reads_of(method: type[Method]) -> frozenset[str]:
    """What a method reads: a constant of its class, which no instance can compute otherwise. Raises ValueError."""
    reads = next(vars(base)["reads"] for base in method.__mro__ if "reads" in vars(base))
    if not isinstance(reads, frozenset) or not reads <= READS:
        named = sorted(READS & set(map(str, reads))) if isinstance(reads, set | frozenset | list | tuple) else []
        named = named or ["source", "target"]
        raise ValueError(
            f"{method.__name__}.reads must be a frozenset of some of {', '.join(sorted(READS))}, got {reads!r}; "
            f"write reads = frozenset({{{', '.join(map(repr, named))}}})"
        )
    return reads


def _seen(step: Step, method: Method, players: Mapping[str, Player]) -> Step:
    modules = MappingProxyType({name: player.module for name, player in players.items()})
    return step.seen_by(reads_of(type(method)), modules)


def _check_losses(method: Method, losses: Mapping[str, Tensor | None], players: Mapping[str, Player]) -> None:
    """Raise ValueError for what is no loss, and unless each player that learns has one."""
    name = type(method).__name__
    if not isinstance(losses, Mapping):
        raise ValueError(f"{name}.losses must return a loss for each player, by its name, got {losses!r}")
    for player, loss in losses.items():
        if player not in players and player != SEGMENTATION:
            known = ", ".join([SEGMENTATION, *players])
            raise ValueError(f"{name}.losses must name players, {known}, got {player!r}; rename it")
        if player != SEGMENTATION and players[player].optimiser is None:
            raise ValueError(
                f"{name}.losses must give no loss to {player}, which has no optimiser; give it one in `players`, or "
                "leave the loss out"
            )
        if loss is None:
            continue
        if not (isinstance(loss, Tensor) and loss.ndim == 0 and loss.is_floating_point()):
            tensor = f"a tensor of shape {tuple(loss.shape)}, {loss.dtype}" if isinstance(loss, Tensor) else None
            got = tensor or one_line(repr(loss))
            raise ValueError(f"{name}.losses must give {player} one real number, as a tensor, or None, got {got}")
        if not loss.requires_grad:
            raise ValueError(
                f"{name}.losses must give {player} a loss that depends on what it learns, got a constant; see what is "
                "detached, or give None to leave it as it is in this step"
            )
    learning = [player for player, each in players.items() if each.optimiser is not None]
    if lacking := [player for player in learning if player not in losses]:
        raise ValueError(
            f"{name}.losses must give each player that has an optimiser a loss, or None, got none for {lacking[0]}"
        )
