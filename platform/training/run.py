"""One training run: advance, evaluate, save, restore. Plain PyTorch, knowing neither Ray nor MLflow.

Randomness is addressed by (seed, purpose, step), the learning rate is a function of the step, and the order of the data
a function of (seed, epoch). The state of a run is therefore its step, its weights, its optimisers and the sums of what
its last steps noted, and a restored run goes on exactly as it would have gone on.
"""

import io
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from platform.methods.batch import Labelled, Unlabelled, labelled_batch, unlabelled_batch
from platform.methods.method import SEGMENTATION, Method, Step
from platform.networks.bisenet import Prediction, upsample
from platform.networks.network import Network
from platform.scores.metrics import SIZE, Counts, confusion
from platform.shifts.randomness import derive, generator
from platform.shifts.shift import Images, LabelledImages, Pixels, Splits
from platform.training.augmentation import augment
from platform.training.recipe import Recipe

EVALUATION_BATCH = 8
KEPT = 4
"""Test images whose predictions a confirm trial keeps."""


class Diverged(ArithmeticError):
    """A loss, a weight or a running statistic that is not finite."""


class Interrupted(Exception):
    """The run was asked to stop; it can be saved, and goes on from there."""


class Damaged(ValueError):
    """A saved state that cannot be trusted."""


def never() -> bool:
    """Do not interrupt."""
    return False


class Trained(NamedTuple):
    """A module with its optimiser."""

    module: nn.Module
    optimiser: Optimizer


class TrainingRun:
    """A method trained by a recipe on a shift, from one seed, for a given number of steps."""

    def __init__(
        self, method: Method, recipe: Recipe, splits: Splits, seed: int, steps: int, device: torch.device
    ) -> None:
        self.method = method
        self.recipe = recipe
        self.splits = splits
        self.seed = seed
        self.steps = steps
        self.device = device
        self.step = 0
        self.parts = 1
        """In how many parts each batch is taken, their gradients accumulated: 2 halves the memory that a step needs.

        Departures from a whole batch: batch norm normalises by a part, and a mean over the pixels that are not void is
        the mean of the parts' means.
        """
        self._sums: dict[str, Tensor] = {}
        self._counted = 0
        self._labelled = splits.source_train if method.labelled == "source" else splits.oracle.adapt
        if self._smallest_split() < recipe.batch:
            raise ValueError(
                f"a training split must hold at least one batch of {recipe.batch} images, "
                f"it holds {self._smallest_split()}; lower the recipe's batch or add images"
            )
        self._memory: dict[int, Tensor] = {}
        self._trained = {SEGMENTATION: self._segmentation(), **self._players()}
        self._half_precision = device.type == "cuda"
        # One scale for all players, of whom one whose gradients overflow skips its step. Without half precision the
        # scaler passes everything through.
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._half_precision)

    @property
    def network(self) -> Network:
        """The segmentation network."""
        network = self._trained[SEGMENTATION].module
        assert isinstance(network, Network)
        return network

    @property
    def learning_rate(self) -> float:
        """Of the segmentation network in the last step taken."""
        rate: float = self._trained[SEGMENTATION].optimiser.param_groups[0]["lr"]
        return rate

    def advance(self, steps: int, stopped: Callable[[], bool] = never) -> dict[str, float]:
        """Take steps and return the mean of everything noted since the last return, whatever came in between.

        Raises Interrupted after a step at which `stopped` says so, and Diverged when something is not finite: a loss at
        any step, a weight or a running statistic at the last.
        """
        for _ in range(steps):
            for name, value in self._take_step().items():
                self._sums[name] = self._sums.get(name, torch.zeros((), device=self.device)) + value.float()
            self._counted += 1
            if stopped():
                raise Interrupted
        self._check_finite()
        means = {name: total.item() / self._counted for name, total in self._sums.items()}
        self._sums, self._counted = {}, 0
        return means

    def evaluate(self, split: LabelledImages, stopped: Callable[[], bool] = never) -> Counts:
        """The confusion matrix over a whole split, shape (20, 20), on logits upsampled to the labels' size.

        Raises Interrupted after a batch at which `stopped` says so.
        """
        total = np.zeros((SIZE, SIZE), np.int64)
        for indices, predicted in self._predict(split.images, split.labels.shape[1:], range(len(split))):
            total += confusion(predicted, split.labels[indices])
            if stopped():
                raise Interrupted
        return total

    def predictions(self, split: LabelledImages) -> dict[str, Pixels]:
        """Images, truth and prediction of a few images of a split, evenly spaced, as uint8 arrays."""
        chosen = np.linspace(0, len(split) - 1, min(KEPT, len(split))).astype(int).tolist()
        batches = [predicted for _, predicted in self._predict(split.images, split.labels.shape[1:], chosen)]
        return {
            "images": np.ascontiguousarray(split.images.pixels[chosen]),
            "truth": np.ascontiguousarray(split.labels[chosen]),
            "prediction": np.concatenate(batches),
        }

    def save(self, extra: Mapping[str, Any]) -> bytes:
        """The state, and what the caller wants kept with it."""
        state = {
            "step": self.step,
            "parts": self.parts,
            "sums": self._sums,
            "counted": self._counted,
            "modules": {name: trained.module.state_dict() for name, trained in self._trained.items()},
            "optimisers": {name: trained.optimiser.state_dict() for name, trained in self._trained.items()},
            "scaler": self._scaler.state_dict(),
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
            state = _loaded(saved)
            for name, trained in self._trained.items():
                trained.module.load_state_dict(state["modules"][name])
                trained.optimiser.load_state_dict(state["optimisers"][name])
            # A state from a device without half precision has no scale.
            if self._half_precision and state["scaler"]:
                self._scaler.load_state_dict(state["scaler"])
            self._sums = {name: total.to(self.device) for name, total in state["sums"].items()}
            self.step, self.parts, self._counted = state["step"], state["parts"], state["counted"]
            extra: dict[str, Any] = state["extra"]
        except Exception as error:
            if out_of_memory(error):
                raise
            raise Damaged(f"{type(error).__name__}: {error}") from error
        return extra

    def _take_step(self) -> dict[str, Tensor]:
        torch.manual_seed(derive(self.seed, "step", self.step))
        self._set_learning_rates()
        # Half precision is for the networks alone: a method's translation and the augmentation stay outside it.
        batch = self._batch()
        for trained in self._trained.values():
            trained.optimiser.zero_grad()
        noted: dict[str, Tensor] = {}
        for number in range(self.parts):
            part = _part(batch, number, self.parts)
            self._differentiate_part(part)
            for name, value in part.noted.items():
                noted[name] = noted.get(name, 0) + value / self.parts
        for trained in self._trained.values():
            self._scaler.step(trained.optimiser)
        self._scaler.update()
        self.step += 1
        return noted

    def _differentiate_part(self, part: Step) -> None:
        """Add to each player's gradient what a part of the batch, an equal one of all, contributes."""
        with self._autocast():
            losses = self.method.losses(part)
        assert losses.keys() == self._trained.keys(), "a method must give each of its players a loss, and no other"
        # The segmentation network comes last, so that its long backward pass frees the graph as it goes.
        for position, name in enumerate(sorted(losses, key=lambda name: name == SEGMENTATION)):
            self._differentiate(name, losses[name] / self.parts, keep_graph=position < len(losses) - 1)
        # Looked at only now, since reading a loss makes the CPU wait for the device.
        for name, loss in losses.items():
            if not torch.isfinite(loss):
                raise Diverged(f"the {name} loss is {loss.item()} at step {self.step + 1}")

    def _differentiate(self, name: str, loss: Tensor, keep_graph: bool) -> None:
        """Add to a player's gradient that of its own loss with respect to its own parameters, and of nothing else."""
        parameters = list(self._trained[name].module.parameters())
        gradients = torch.autograd.grad(
            self._scaler.scale(loss), parameters, retain_graph=keep_graph, allow_unused=True
        )
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if parameter.grad is None:
                parameter.grad = gradient
            elif gradient is not None:
                parameter.grad += gradient

    def _check_finite(self) -> None:
        for name, trained in self._trained.items():
            tensors = trained.module.state_dict()
            finite = torch.stack([tensor.isfinite().all() for tensor in tensors.values()]).tolist()
            if not all(finite):
                raise Diverged(f"{list(tensors)[finite.index(False)]} of the {name} is not finite at step {self.step}")

    def _batch(self) -> Step:
        source = labelled_batch(self._labelled, self._order("labelled", len(self._labelled)))
        source = Labelled(source.images.to(self.device), source.labels.to(self.device), source.indices)
        target = None
        if self.method.sees_target:
            adapt = self.splits.target_adapt
            target = unlabelled_batch(adapt, self._order("target", len(adapt)))
            target = replace(target, images=target.images.to(self.device))
        translated = self.method.translate(source, target, self._memory)
        return Step(
            progress=self.step / self.steps,
            source=self._augment_source(replace(source, images=translated)),
            target=None if target is None else self._augment_target(target),
            segment=self._segment,
            segment_target=self._segment_target,
            modules={name: trained.module for name, trained in self._trained.items() if name != SEGMENTATION},
            auxiliary_weight=self.recipe.auxiliary_weight,
        )

    def _augment_source(self, batch: Labelled) -> Labelled:
        random = generator(self.seed, "augment labelled", self.step)
        images, labels = augment(batch.images, batch.labels, self.recipe.augmentation, random)
        assert labels is not None
        return replace(batch, images=images, labels=labels)

    def _augment_target(self, batch: Unlabelled) -> Unlabelled:
        random = generator(self.seed, "augment target", self.step)
        return replace(batch, images=augment(batch.images, None, self.recipe.augmentation, random)[0])

    def _order(self, purpose: str, length: int) -> list[int]:
        """Positions of this step's images: every epoch is a permutation of the split."""
        first = self.step * self.recipe.batch
        positions = range(first, first + self.recipe.batch)
        epochs = {position // length for position in positions}
        orders = {epoch: generator(self.seed, purpose, epoch).permutation(length) for epoch in epochs}
        return [int(orders[position // length][position % length]) for position in positions]

    def _segment(self, images: Tensor) -> Prediction:
        self._set_mode(training=self.recipe.batch_norm != "frozen")
        prediction: Prediction = self.network(images, auxiliary=True)
        return prediction

    def _segment_target(self, images: Tensor) -> Tensor:
        self._set_mode(training=self.recipe.batch_norm != "frozen")
        with _statistics_kept(self.network) if self.recipe.batch_norm == "source" else nullcontext():
            logits: Tensor = self.network(images).logits
        return logits

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, enabled=self._half_precision)

    def _set_mode(self, training: bool) -> None:
        if self.network.training != training:
            self.network.train(training)

    def _predict(
        self, images: Images, size: tuple[int, ...], indices: range | list[int]
    ) -> Iterator[tuple[list[int], Pixels]]:
        """Predicted train ids, uint8, shape (batch, *size), for the images at these positions, batch by batch."""
        self._set_mode(training=False)
        for start in range(0, len(indices), EVALUATION_BATCH):
            chosen = list(indices[start : start + EVALUATION_BATCH])
            with torch.inference_mode(), self._autocast():
                logits = self.network(unlabelled_batch(images, chosen).images.to(self.device)).logits
                # One image at a time: 19 classes at full resolution are 160 MB.
                predicted = [upsample(one[None], size).argmax(dim=1).to(torch.uint8) for one in logits.float()]
            yield chosen, torch.cat(predicted).cpu().numpy()

    def _segmentation(self) -> Trained:
        torch.manual_seed(derive(self.seed, "network"))
        network = self.recipe.network().to(self.device)
        optimiser = torch.optim.SGD(
            network.parameters(),
            lr=self.recipe.learning_rate,
            momentum=self.recipe.momentum,
            weight_decay=self.recipe.weight_decay,
        )
        return _from_step_0(network, optimiser)

    def _players(self) -> dict[str, Trained]:
        torch.manual_seed(derive(self.seed, "players"))
        trained = {}
        for name, player in self.method.players().items():
            module = player.module.to(self.device)
            trained[name] = _from_step_0(module, player.optimiser(module.parameters()))
        return trained

    def _set_learning_rates(self) -> None:
        for trained in self._trained.values():
            for group in trained.optimiser.param_groups:
                group["lr"] = group["initial_lr"] * self.recipe.schedule(self.step, self.steps)

    def _smallest_split(self) -> int:
        lengths = [len(self._labelled)]
        if self.method.sees_target:
            lengths.append(len(self.splits.target_adapt))
        return min(lengths)


def _from_step_0(module: nn.Module, optimiser: Optimizer) -> Trained:
    """Note the learning rates of step 0 under the name that torch's own schedulers use."""
    for group in optimiser.param_groups:
        group["initial_lr"] = group["lr"]
    return Trained(module, optimiser)


def _part(step: Step, number: int, parts: int) -> Step:
    """One of equally many images of each domain, with a place of its own for what is noted."""
    size = len(step.source.images) // parts
    mine = slice(number * size, (number + 1) * size)
    source, target = step.source, step.target
    return replace(
        step,
        source=Labelled(source.images[mine], source.labels[mine], source.indices[mine]),
        target=None if target is None else Unlabelled(target.images[mine], target.indices[mine]),
        noted={},
    )


def _loaded(saved: bytes) -> dict[str, Any]:
    """A saved state on the CPU, its checksums checked first, since torch checks none."""
    with zipfile.ZipFile(io.BytesIO(saved)) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"{damaged} does not have the checksum that it was saved with")
    state: dict[str, Any] = torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True)
    return state


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: the GPU's, torch's on the CPU, or Python's."""
    # On the CPU torch raises a bare RuntimeError.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)
    )


@contextmanager
def _statistics_kept(network: nn.Module) -> Iterator[None]:
    """Let batch norm, in training mode, normalise by the batch without updating its running statistics."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True


def make_deterministic(threads: int) -> None:
    """Make this process give the same numbers for the same seed, with as many threads as the trial has CPUs."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    # Where a device knows no deterministic way, a warning beats no training at all.
    torch.use_deterministic_algorithms(True, warn_only=True)
