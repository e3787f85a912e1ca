"""One training run: advance, predict, save, restore. Plain PyTorch, knowing neither Ray nor MLflow.

Randomness is addressed by (seed, purpose, step), the learning rate is a function of the step, and the order of the data
a function of (seed, epoch). The state of a run is therefore its step, its weights, its optimisers and the sums of what
its last steps noted, and a restored run goes on exactly as it would have gone on.
"""

import io
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from platform.methods.method import SEGMENTATION, Method, Step
from platform.networks.network import Network, Prediction
from platform.shifts.randomness import derive
from platform.shifts.shift import Splits
from platform.training.batches import Batches, part
from platform.training.recipe import Recipe


class Diverged(ArithmeticError):
    """A loss, a weight or a running statistic that is not finite."""


class Interrupted(Exception):
    """The run was asked to stop; it can be saved, and goes on from there."""


class Damaged(ValueError):
    """A saved state that cannot be trusted; the message completes `it is ...`."""


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
        """Number of parts in which each batch is taken, gradients accumulated: 2 halves the memory that a step needs.

        Departures from a whole batch: batch norm normalises by a part, and a mean over the pixels that are not void is
        the mean of the parts' means.
        """
        self._sums: dict[str, Tensor] = {}
        self._counted = 0
        self.batches = Batches(method, recipe, splits, seed, device)
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
        """The segmentation network's learning rate in the last step taken."""
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

    @torch.inference_mode()
    def predict(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch classes rows columns"]:
        """Logits at 1/8 of the images' size, in float32, of the network in evaluation mode; images in [0, 255]."""
        self._set_mode(training=False)
        with self._autocast():
            logits: Tensor = self.network(images.to(self.device)).logits
        return logits.float()

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
            raise Damaged(f"damaged ({type(error).__name__}: {error})") from error
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
            share = part(batch, number, self.parts)
            self._differentiate_part(share)
            for name, value in share.noted.items():
                noted[name] = noted.get(name, 0) + value / self.parts
        for trained in self._trained.values():
            self._scaler.step(trained.optimiser)
        self._scaler.update()
        self.step += 1
        return noted

    def _differentiate_part(self, share: Step) -> None:
        """Add to each player's gradient what one of the equal parts of the batch contributes."""
        with self._autocast():
            losses = self.method.losses(share)
        if losses.keys() != self._trained.keys():
            raise ValueError(
                f"{type(self.method).__name__}.losses must give each of its players a loss, "
                f"{', '.join(sorted(self._trained))}, got {', '.join(sorted(losses)) or 'none'}"
            )
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
        source, target = self.batches.at(self.step)
        return Step(
            progress=self.step / self.steps,
            source=source,
            target=target,
            segment=self._segment,
            segment_target=self._segment_target,
            modules={name: trained.module for name, trained in self._trained.items() if name != SEGMENTATION},
            auxiliary_weight=self.recipe.auxiliary_weight,
        )

    def _segment(self, images: Float[Tensor, "batch 3 height width"]) -> Prediction:
        self._set_mode(training=self.recipe.batch_norm != "frozen")
        prediction: Prediction = self.network(images, auxiliary=True)
        return prediction

    def _segment_target(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch classes rows columns"]:
        self._set_mode(training=self.recipe.batch_norm != "frozen")
        with _statistics_kept(self.network) if self.recipe.batch_norm == "source" else nullcontext():
            logits: Tensor = self.network(images).logits
        return logits

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, enabled=self._half_precision)

    def _set_mode(self, training: bool) -> None:
        if self.network.training != training:
            self.network.train(training)

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


def _from_step_0(module: nn.Module, optimiser: Optimizer) -> Trained:
    """Note the learning rates of step 0 under the name that torch's own schedulers use."""
    for group in optimiser.param_groups:
        group["initial_lr"] = group["lr"]
    return Trained(module, optimiser)


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
