"""Small synthetic splits, and training runs on them that take milliseconds a step."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from platform.methods import CBST, AdaBN, Distillation, MajorityVote, Method, MultiBandTransfer, PseudoLabels
from platform.methods.composition import Composition
from platform.methods.step import Step
from platform.networks.architectures.bisenet import BiSeNet, BiSeNet18
from platform.shifts.labels import NUM_CLASSES, VOID
from platform.shifts.shift import Images, LabelledImages, Oracle, Splits
from platform.training.recipe import Recipe
from platform.training.run import TrainingRun

SIZE = (32, 64)
NETWORK_WIDTH = 0.0625
CPU = torch.device("cpu")

AFTER: dict[type[Method], int] = {
    AdaBN: 1,
    PseudoLabels: 1,
    CBST: 1,
    MultiBandTransfer: 3,
    Distillation: 1,
    MajorityVote: 3,
}
"""Methods that begin from trials of other rows, and how many networks they are given here."""

torch.set_num_threads(1)


class Sealed:
    """Data that must not be touched: reading anything of it fails the test."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        raise AssertionError(f"{self._name}.{attribute} was read")

    def __len__(self) -> int:
        raise AssertionError(f"the length of {self._name} was read")


def images(number: int, seed: int, size: tuple[int, int] = SIZE) -> Images:
    """Coloured noise that is smooth along the rows; read-only, as a memory map is."""
    random = np.random.default_rng(seed)
    colours = random.integers(0, 256, (number, size[0], size[1] // 8, 3)).repeat(8, axis=2)
    noise = random.integers(-20, 21, (number, *size, 3))
    return images_of(np.clip(colours + noise, 0, 255).astype(np.uint8))


def images_of(pixels: np.ndarray) -> Images:
    pixels.setflags(write=False)
    return Images(pixels, tuple(f"{number}.png" for number in range(len(pixels))))


def labelled(number: int, seed: int, label_size: tuple[int, int] = SIZE) -> LabelledImages:
    """Blocks of random classes, about one in ten void."""
    random = np.random.default_rng(seed + 1000)
    blocks = random.integers(0, NUM_CLASSES, (number, label_size[0] // 8, label_size[1] // 8))
    blocks[random.random(blocks.shape) < 0.1] = VOID
    labels = blocks.repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)
    labels.setflags(write=False)
    return LabelledImages(images(number, seed), labels)


def splits(source: int = 7, target: int = 5) -> Splits:
    """Splits whose lengths no batch divides, with target test labels at a higher resolution than the images."""
    adapt = labelled(target, 2)
    return Splits(
        source_train=labelled(source, 0),
        source_val=labelled(3, 1),
        target_adapt=adapt.images,
        target_val=images(3, 3),
        oracle=Oracle(adapt=adapt, val=labelled(3, 3), test=labelled(3, 4, (48, 96))),
    )


def recipe(**values: Any) -> Recipe:
    return Recipe(**{"batch": 2, "network": BiSeNet18(width=NETWORK_WIDTH), "learning_rate": 0.01, **values})


def training_run(
    method: Method | Composition,
    data: Splits | None = None,
    seed: int = 1,
    steps: int = 20,
    device: torch.device = CPU,
    **recipe_values: Any,
) -> TrainingRun:
    methods, by = composition(method), recipe(**recipe_values)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        number = max(AFTER.get(type(each), 0) for each in methods.methods)
        given = [by.network.build().to(device) for _ in range(number)]
    return TrainingRun(methods, by, data or splits(), seed, steps, device, given)


def composition(method: Method | Composition) -> Composition:
    """One method as an arm's."""
    return method if isinstance(method, Composition) else Composition((method,))


def step_of(run: TrainingRun) -> Step:
    """The next step, as the first of its parts is offered to the methods of a run."""
    run._begin()
    return run._offer(run.batches.at(run.step), 0)


def with_sealed_oracle(data: Splits) -> Splits:
    return replace(data, oracle=Sealed("oracle"))  # type: ignore[arg-type]


def state(run: TrainingRun) -> dict[str, Any]:
    """Everything that a checkpoint holds."""
    saved: dict[str, Any] = torch.load(io.BytesIO(run.save({})), weights_only=True)
    return saved


def flat(values: Any, path: str = "") -> dict[str, Any]:
    """The leaves of nested dictionaries and lists, by path."""
    if isinstance(values, dict):
        items = list(values.items())
    elif isinstance(values, list | tuple):
        items = list(enumerate(values))
    else:
        return {path: values}
    return {name: leaf for key, value in items for name, leaf in flat(value, f"{path}/{key}").items()}


def assert_same(left: Any, right: Any) -> None:
    """Nested values are equal, tensors bit for bit; names those that are not."""
    left, right = flat(left), flat(right)
    assert left.keys() == right.keys()
    assert [name for name in left if not _same(left[name], right[name])] == []


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    return bool(left == right)


def bisenet(run: TrainingRun) -> BiSeNet:
    """The network of a run, for tests that look into it."""
    assert isinstance(run.network, BiSeNet)
    return run.network


def parameters(run: TrainingRun) -> dict[str, Tensor]:
    """A copy of the segmentation network's parameters."""
    return {name: parameter.detach().clone() for name, parameter in run.network.named_parameters()}


def running_statistics(run: TrainingRun) -> dict[str, Tensor]:
    """A copy of the segmentation network's batch-norm buffers."""
    return {
        name: buffer.clone()
        for name, buffer in run.network.named_buffers()
        if name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    }
