"""One training run: advance, predict, save, restore. Plain PyTorch, knowing neither Ray nor MLflow.

Randomness is addressed by (seed, purpose, step), the learning rate is a function of the step, and the order of the data
a function of (seed, epoch). The state of a run is therefore its step, its weights, its optimisers and the sums of what
its last steps noted, and a restored run goes on exactly as it would have gone on.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Optimizer

from platform.methods.batch import UnlabelledImages
from platform.methods.composition import Composition, modules_of
from platform.methods.method import SEGMENTATION, Player
from platform.methods.step import Moment, Step, detached
from platform.networks.modes import evaluating, recalibrate, statistics_of
from platform.networks.network import Domain, Network, Prediction
from platform.shifts.randomness import derive, generator
from platform.shifts.shift import Splits
from platform.shifts.stored import Unverified, named, nameless
from platform.training.data.batches import Batch, Batches, part, trained_on
from platform.training.device.arithmetic import Arithmetic
from platform.training.device.memory import out_of_memory
from platform.training.device.recorder import recorder
from platform.training.recipe import Recipe
from platform.training.steps.finite import Diverged, LossWatch
from platform.training.steps.gradients import differentiate, has_gradient
from platform.training.steps.graph import StepGraph, Taking
from platform.training.steps.passes import TrainingPasses
from platform.training.steps.rates import LearningRates, descent, load
from platform.training.steps.saved import Damaged, loaded, resize


class Interrupted(Exception):
    """The run was asked to stop; it can be saved, and goes on from there."""


def never() -> bool:
    """Do not interrupt."""
    return False


class TrainingRun:
    """Methods trained by a recipe on a shift, from one seed, for a given number of steps."""

    def __init__(
        self,
        methods: Composition,
        recipe: Recipe,
        splits: Splits,
        seed: int,
        steps: int,
        device: torch.device,
        given: Sequence[Network] = (),
    ) -> None:
        self.methods = methods
        self.recipe = recipe
        self.splits = splits = trained_on(methods, splits)
        self.seed = seed
        self.steps = steps
        self.device = device
        self.step = 0
        self.parts = 1
        """Number of parts in which each batch is taken, gradients accumulated: 2 halves the memory that a step needs.

        Departures from a whole batch: batch norm normalises by a part, and a mean over the pixels that are not void is
        the mean of the parts' means.
        """
        self._sums: dict[str, tuple[Tensor, int]] = {}
        self._statistics: dict[str, Tensor] = {}
        """Those by which what is deployed normalised at the last evaluation, where they are not its own."""
        self.arithmetic = Arithmetic.of(device)
        self.batches = Batches(methods, recipe, splits, seed, steps, device)
        torch.manual_seed(derive(seed, "network"))
        self.network = recipe.build()
        """The segmentation network."""
        self.arithmetic.place(self.network, device)
        methods.start(self.network, given)
        self._players = self._with_players(given)
        self._modules = modules_of(self.network, self._players)
        self._parameters = {name: [*module.parameters()] for name, module in self._modules.items()}
        own = descent(self.network, recipe, self.arithmetic.is_scaled)
        self._optimisers = {SEGMENTATION: own, **self._players_optimisers()}
        records = recorder(device, self.arithmetic)
        self._rates = LearningRates(self._optimisers.values(), device, records is not None)
        self._progress = torch.zeros((), device=device)
        self._passes = TrainingPasses(self.network, recipe.batch_norm, self.arithmetic.images)
        self._adapt = (
            UnlabelledImages(nameless(splits.target_adapt.pixels), device) if "target" in methods.reads else None
        )
        self._losses = LossWatch(sorted(self._optimisers), device)
        # One scale for all players, of whom one whose gradients overflow skips its step. Where nothing is scaled it
        # passes everything through.
        self._scaler = torch.amp.GradScaler(device.type, enabled=self.arithmetic.is_scaled)
        self.graph = StepGraph(records)
        if records is not None and not self._rates.are_there:
            self.graph.stop("the learning rate of an optimiser lies with the CPU")

    @property
    def images_per_step(self) -> int:
        """Images of all batches of a step."""
        return self.batches.images

    @property
    def awaited(self) -> tuple[float, float]:
        """Seconds waited since the run was made: for images to be read, and for the device."""
        images, device = self.batches.awaited
        return images, device + self._losses.waited

    @property
    def learning_rate(self) -> float:
        """The segmentation network's learning rate in the last step taken."""
        return float(self._optimisers[SEGMENTATION].param_groups[0]["lr"])

    def advance(self, steps: int, stopped: Callable[[], bool] = never) -> dict[str, float]:
        """Take steps and return the means of what was noted since the last return, over the steps that noted it.

        Raises Interrupted after a step at which `stopped` says so, and Diverged when something is not finite: a loss at
        any step, a weight or a running statistic at the last.
        """
        for _ in range(steps):
            self._advance_by_one()
            if stopped():
                self._losses.check()
                raise Interrupted
        self._losses.check()
        self._check_finite()
        return self._means()

    @torch.inference_mode()
    def predict(self, images: Float[Tensor, "batch 3 height width"], domain: Domain) -> Prediction:
        """What is deployed predicts, in evaluation mode, as float32; images in [0, 255]."""
        deployed = self._modules[self.methods.deployed]
        with evaluating(deployed), self._autocast():
            prediction: Prediction = deployed(images.to(self.device), domain=domain)
        return Prediction(prediction.logits.float(), (), prediction.features.float())

    @contextmanager
    def recalibrated(self, batches: Iterable[Float[Tensor, "batch 3 height width"]]) -> Iterator[None]:
        """Have what is deployed normalise by the statistics of these images meanwhile; checkpoints have them beside.

        What trains goes on with its own.
        """
        deployed = self._modules[self.methods.deployed]
        own = statistics_of(deployed)
        try:
            with torch.no_grad(), self._autocast():
                recalibrate(deployed, batches)
            self._statistics = statistics_of(deployed)
            yield
        finally:
            deployed.load_state_dict(own, strict=False)

    def save(self, extra: Mapping[str, Any]) -> bytes:
        """The state, and what the caller wants kept with it."""
        state = {
            "step": self.step,
            "parts": self.parts,
            "sums": {name: total for name, (total, _) in self._sums.items()},
            "counted": {name: counted for name, (_, counted) in self._sums.items()},
            "modules": {name: module.state_dict() for name, module in self._modules.items()},
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self._optimisers.items()},
            "scaler": self._scaler.state_dict(),
            "statistics": self._statistics,
            "extra": dict(extra),
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        return buffer.getvalue()

    def restore(self, saved: bytes) -> dict[str, Any]:
        """Take over a saved state, of whichever device, and return what was kept with it.

        Raises Damaged for anything but what `save` gave; the run is then of no more use. Nothing is unpickled but
        tensors and plain values.
        """
        try:
            state = loaded(saved)
            for name, module in self._modules.items():
                if name not in self._optimisers:
                    resize(module, state["modules"][name], self.device)
                module.load_state_dict(state["modules"][name])
            for name, optimiser in self._optimisers.items():
                load(optimiser, state["optimisers"][name])
            # A state from a device without half precision has no scale.
            if self.arithmetic.is_scaled and state["scaler"]:
                self._scaler.load_state_dict(state["scaler"])
            counted = state["counted"]
            self._sums = {name: (total.to(self.device), counted[name]) for name, total in state["sums"].items()}
            self.step, self.parts = state["step"], state["parts"]
            self._statistics = {name: value.to(self.device) for name, value in state.get("statistics", {}).items()}
            extra: dict[str, Any] = state["extra"]
        except Exception as error:
            if out_of_memory(error):
                raise
            raise Damaged(f"damaged ({type(error).__name__}: {error})") from error
        return extra

    def _advance_by_one(self) -> None:
        try:
            noted = self._take_step()
        except Exception:
            # Of numbers that are not finite anything may come.
            self._losses.check()
            raise
        self._losses.look(self.step)
        for name, value in noted.items():
            total, counted = self._sums.get(name, (None, 0))
            self._sums[name] = value.float() if total is None else total + value, counted + 1

    def _means(self) -> dict[str, float]:
        """The means of what was noted, which are forgotten here."""
        if not self._sums:
            return {}
        totals = torch.stack([total for total, _ in self._sums.values()]).tolist()
        means = {name: total / self._sums[name][1] for name, total in zip(self._sums, totals, strict=True)}
        self._sums = {}
        return means

    def _take_step(self) -> dict[str, Tensor]:
        self._begin()
        if not self.methods.acts:
            self.step += 1
            return {}
        if self.parts > 1:
            self.graph.stop("batches are halved")
        try:
            # Half precision is for the networks alone: translations and the augmentation stay outside it.
            self._seed_torch("batch")
            batches = self.batches.at(self.step)
            noted = self.graph.step(batches, Taking(self._compute, self._state, partial(self._seed_torch, "step")))
        except Unverified as error:
            target, source = self.splits.target_adapt, self.splits.source_train
            raise named(error, [target.pixels, source.images.pixels, source.labels]) from error
        self.step += 1
        return noted

    def _begin(self) -> None:
        """Write down, where the device finds it, what follows from the number of the step."""
        self._rates.scale(self.recipe.schedule(self.step, self.steps))
        self._progress.fill_(self.step / self.steps)
        self._losses.begin(self.step)

    def _compute(self, batches: Mapping[str, Batch], recorded: bool) -> dict[str, Tensor]:
        """What a step does once it has its batches; returns what it noted."""
        for optimiser in self._optimisers.values():
            optimiser.zero_grad()
        shares = [self._offer(part(batches, number, self.parts), number, recorded) for number in range(self.parts)]
        for share in shares:
            self._differentiate_part(share)
        # The scaler refuses a player that has no gradient, as one that rests in this step, and a step without any.
        if stepping := [optimiser for optimiser in self._optimisers.values() if has_gradient(optimiser)]:
            for optimiser in stepping:
                self._scaler.step(optimiser)
            self._scaler.update()
        noted = _mean_over(shares)
        if self.methods.updates:
            self._update(batches, shares, noted, recorded)
        return noted

    def _state(self) -> list[Tensor]:
        """Everything that a step changes, but for what it notes for the records."""
        modules = [value for module in self._modules.values() for value in module.state_dict().values()]
        optimisers = [
            value
            for optimiser in self._optimisers.values()
            for state in optimiser.state.values()
            for value in state.values()
        ]
        return [value for value in [*modules, *optimisers, self._losses.note] if isinstance(value, Tensor)]

    def _seed_torch(self, purpose: str) -> None:
        seed = derive(self.seed, purpose, self.step)
        # `torch.manual_seed` seeds every device there may be, and notes who asked for it, which takes a millisecond.
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _differentiate_part(self, share: Step) -> None:
        """Add to each player's gradient what one of the equal parts of the batch contributes."""
        before = sum(map(has_gradient, self._optimisers.values()))
        with self._autocast():
            losses = self.methods.losses(share, self._players)
        if sum(map(has_gradient, self._optimisers.values())) > before:
            raise ValueError(
                f"{self.methods.name}.losses must return losses and differentiate none, got gradients; leave out "
                ".backward()"
            )
        # The segmentation network comes last, so that its long backward pass frees the graph as it goes.
        for position, name in enumerate(sorted(losses, key=lambda name: name == SEGMENTATION)):
            self._differentiate(name, losses[name] / self.parts, keep_graph=position < len(losses) - 1)
        # Whatever is left of the graph would stay in memory beside that of the next part.
        kept = {name: detached(prediction) for name, prediction in share.passes.items()} if self.methods.updates else {}
        share.passes.clear()
        share.passes.update(kept)
        self._losses.take(losses)

    def _differentiate(self, name: str, loss: Tensor, keep_graph: bool) -> None:
        """Add to a player's gradient that of its own loss with respect to its own parameters, and of nothing else."""
        parameters = [parameter for parameter in self._parameters[name] if parameter.requires_grad]
        gradients = differentiate(self._scaler.scale(loss), parameters, keep_graph)
        if all(gradient is None for gradient in gradients):
            raise ValueError(
                f"{self.methods.name}: the loss of {name} must depend on its parameters, got one of others' alone "
                f"at step {self.step + 1}; see what is detached, or give None to leave it as it is in this step"
            )

    @torch.no_grad()
    def _update(
        self, batches: Mapping[str, Batch], shares: Sequence[Step], noted: dict[str, Tensor], recorded: bool
    ) -> None:
        """Let the methods change their players after the optimisers' step, and note what the losses did not."""
        step = self._offer(batches, len(shares), recorded)
        passes = {name: _joined([share.passes[name] for share in shares]) for name in shares[0].passes}
        step = replace(step, segment=self._passes.keeping(), passes=passes, noted=noted)
        with self._autocast():
            self.methods.update(step, self._players)

    def _check_finite(self) -> None:
        for name, module in self._modules.items():
            tensors = {key: value for key, value in module.state_dict().items() if isinstance(value, Tensor)}
            if not tensors:
                continue
            finite = torch.stack([tensor.isfinite().all() for tensor in tensors.values()]).tolist()
            if not all(finite):
                raise Diverged(f"{list(tensors)[finite.index(False)]} of the {name} is not finite at step {self.step}")

    def _offer(self, batches: Mapping[str, Batch], number: int, recorded: bool = False) -> Step:
        """The step as the methods see it, or one of its parts."""
        return Step(
            moment=None if recorded else Moment(self.step, self._random(number), self.steps),
            progress=self._progress,
            batches=batches,
            network=self.network,
            segment=self._passes,
            modules={},
            auxiliary_weight=self.recipe.auxiliary_weight,
            images=None if recorded else self._adapt,
        )

    def _random(self, number: int) -> np.random.Generator:
        """What a method draws from in a part of this step, or in its update."""
        return generator(self.seed, "method", self.step, number)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.arithmetic.type, enabled=self.arithmetic.is_half)

    def _with_players(self, given: Sequence[Network]) -> tuple[dict[str, Player], ...]:
        """The methods' players, on this device; those without an optimiser take no gradient, and are in evaluation."""
        players = self.methods.players(self.network, given, derive(self.seed, "players"))
        for each in players:
            for player in each.values():
                self.arithmetic.place(player.module, self.device)
                if player.optimiser is None:
                    player.module.requires_grad_(False).eval()
        return players

    def _players_optimisers(self) -> dict[str, Optimizer]:
        return {
            name: player.optimiser(player.module.parameters())
            for players in self._players
            for name, player in players.items()
            if player.optimiser is not None
        }


def _mean_over(shares: Sequence[Step]) -> dict[str, Tensor]:
    """The mean of each scalar over the parts of a step that noted it."""
    noted: dict[str, list[Tensor]] = {}
    for share in shares:
        for name, value in share.noted.items():
            noted.setdefault(name, []).append(value)
    return {
        name: values[0] if len(values) == 1 else torch.stack([value.float() for value in values]).mean()
        for name, values in noted.items()
    }


def _joined(predictions: Sequence[Prediction]) -> Prediction:
    """The predictions for the parts of a batch as one for the batch."""
    if len(predictions) == 1:
        return predictions[0]
    auxiliary = zip(*(prediction.auxiliary for prediction in predictions), strict=True)
    return Prediction(
        torch.cat([prediction.logits for prediction in predictions]),
        tuple(map(torch.cat, auxiliary)),
        torch.cat([prediction.features for prediction in predictions]),
    )
