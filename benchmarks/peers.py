"""How fast this code is beside others', on this machine's CPU: `python -m benchmarks.peers --original DIR --fda DIR`.

Others' code is read from checkouts of theirs, and none of it lies here: of the original study's repository, whose
networks, losses and order of passes make its training steps, and of the official one of FDA. Ours and theirs take turns
in one process, and what counts is the ratio of medians. In training steps theirs is handed its images as numbers; ours
reads its own. Loading is compared on a folder of images, `--data DIR`, on one CPU.
"""

import argparse
import importlib.util
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from platform.methods import FDA, Adversarial, Method, SourceOnly
from platform.methods.composition import Composition
from platform.methods.translation.fda import lend_amplitudes, low_frequencies
from platform.scores.metrics import confusion
from platform.shifts import gta5_to_cityscapes, town
from platform.shifts.shift import Splits
from platform.training.data.batches import Batches
from platform.training.device.process import keep_memory, make_deterministic
from platform.training.recipe import Recipe
from platform.training.run import TrainingRun

SIZE, BATCH, LOADED = (512, 1024), 2, 4
"""The size of images, and how many of a domain a training step and a loaded batch have."""
BANDS = (5, 25, 46)
LAMBDA_ADV = 0.001
Action = Callable[[], object]
HOLDS = {"original": "model/build_BiSeNet.py", "fda": "utils/__init__.py", "data": "gta5"}
"""What each folder is known by."""


def main() -> None:
    """Print a line for each pair."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description="Beside others' code, on the CPU.")
    parser.add_argument("--original", type=Path, help="a checkout of the original study's repository")
    parser.add_argument("--fda", type=Path, help="a checkout of FDA's official repository")
    parser.add_argument("--data", type=Path, help="a folder of gta5/ and cityscapes/, to compare loading on")
    parser.add_argument("--size", type=int, nargs=2, default=SIZE, help="of images (default: 512 1024)")
    parser.add_argument("--pairs", type=int, default=7, help="times that each takes its turn (default: 7)")
    arguments = parser.parse_args()
    if arguments.original is None and arguments.fda is None:
        parser.error("there is nobody to compare with; name a checkout by --original or --fda")
    for option, file in HOLDS.items():
        folder = getattr(arguments, option)
        if folder is not None and not (folder / file).exists():
            parser.error(f"--{option} must be a folder that holds {file}, got {folder}; name the one that does")
    if arguments.pairs < 1:
        parser.error(f"--pairs must be at least 1, got {arguments.pairs}")
    make_deterministic(1)
    keep_memory()
    size, pairs = tuple(arguments.size), arguments.pairs
    translate = None
    if arguments.fda is not None:
        translate = module(arguments.fda / "utils" / "__init__.py").FDA_source_to_target_np
    if arguments.original is not None:
        for name, (ours, theirs) in steps(arguments.original, size, translate).items():
            compare(name, ours, theirs, pairs)
        compare("confusion matrix and accuracy", *confusions(arguments.original, size), pairs)
        if arguments.data is None:
            print("loading is left out: name a folder of gta5/ and cityscapes/ by --data")
        else:
            with loading(arguments.original, arguments.data, size) as epochs:
                for name, (ours, theirs) in epochs.items():
                    compare(name, ours, theirs, pairs)
    if translate is not None:
        for band in (band for band in BANDS if 2 * band < min(size)):
            compare(f"FDA's transform, band {band}", *transforms(translate, size, band), pairs)


def compare(name: str, ours: Action, theirs: Action, pairs: int) -> None:
    """Have both take turns, and print their medians."""
    ours(), theirs()
    times = [(seconds(ours), seconds(theirs)) for _ in range(pairs)]
    mine, other = (statistics.median(each) for each in zip(*times, strict=True))
    print(f"{name:32}{1000 * mine:10.1f} ms{1000 * other:12.1f} ms{other / mine:8.2f}x", flush=True)


def seconds(action: Action) -> float:
    """How long it takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def steps(original: Path, size: tuple[int, int], translate: Any) -> dict[str, tuple[Action, Action]]:
    """Training steps of both, by the row of the table that they are of."""
    splits = town(size=size, source_images=(4, 2), target_images=(4, 2, 2)).open()
    rows: dict[str, tuple[Method, str]] = {
        "source only": (SourceOnly(), ""),
        "adversarial": (Adversarial(), "FCDiscriminator"),
        "adversarial, light": (Adversarial(separable=True), "Light_Discriminator"),
    }
    found: dict[str, tuple[Action, Action]] = {}
    for name, (method, discriminator) in rows.items():
        run = TrainingRun(Composition((method,)), Recipe(batch=BATCH), splits, 1, 10_000, torch.device("cpu"))
        found[name] = (partial(run.advance, 1), Theirs(original, splits, discriminator).step)
    if translate is not None:
        method = FDA(entropy_weight=0.0)
        run = TrainingRun(Composition((method,)), Recipe(batch=BATCH), splits, 1, 10_000, torch.device("cpu"))
        theirs = Theirs(original, splits, "", lambda source, target: translate(source, target, L=method.beta))
        found["FDA"] = (partial(run.advance, 1), theirs.step)
    return found


class Theirs:
    """The original study's training: its networks, and its passes in its order, without half precision."""

    def __init__(self, original: Path, splits: Splits, discriminator: str, translate: Any = None) -> None:
        with modules_of(original):
            from model.build_BiSeNet import BiSeNet  # type: ignore[import-not-found]
            from model.discriminator import __dict__ as discriminators  # type: ignore[import-not-found]

            # It also builds a ResNet-101, which nobody uses.
            with patch.multiple("torchvision.models", resnet18=without_weights, resnet101=without_weights):
                self._network: nn.Module = BiSeNet(19, "resnet18").train()
            self._judge: nn.Module | None = discriminators[discriminator](19).train() if discriminator else None
        self._translate = translate
        chosen = [*range(BATCH)]
        self._source, self._target = (
            torch.from_numpy(pixels[chosen]).permute(0, 3, 1, 2).float().contiguous()
            for pixels in (splits.source_train.images.pixels, splits.target_adapt.pixels)
        )
        self._labels = torch.from_numpy(splits.source_train.labels[chosen]).long()
        sgd = torch.optim.SGD(self._network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
        self._optimisers: list[torch.optim.Optimizer] = [sgd]
        if self._judge is not None:
            self._optimisers.append(torch.optim.Adam(self._judge.parameters(), lr=1e-4, betas=(0.9, 0.99)))

    def step(self) -> None:
        """Take one."""
        source = self._source
        if self._translate is not None:
            pairs = zip(source.numpy(), self._target.numpy(), strict=True)
            source = torch.from_numpy(np.stack([self._translate(*pair) for pair in pairs])).float()
        for optimiser in self._optimisers:
            optimiser.zero_grad()
        outputs = self._network(source)
        backward(sum(functional.cross_entropy(output, self._labels, ignore_index=255) for output in outputs))
        if self._judge is not None:
            self._adapt(self._judge, outputs[0].detach())
        for optimiser in self._optimisers:
            optimiser.step()

    def _adapt(self, judge: nn.Module, source: Tensor) -> None:
        """The target fools the judge, which then judges both again."""
        judge.requires_grad_(False)
        target = self._network(self._target)[0]
        backward(LAMBDA_ADV * judged(judge, target, 0.0))
        judge.requires_grad_(True)
        backward(judged(judge, source, 0.0))
        backward(judged(judge, target.detach(), 1.0))


def judged(judge: nn.Module, output: Tensor, domain: float) -> Tensor:
    """The loss of a judgement against a domain."""
    judgement = judge(functional.softmax(output, dim=1))
    return functional.binary_cross_entropy_with_logits(judgement, torch.full_like(judgement, domain))


def backward(loss: Any) -> None:
    """Add a loss's gradients to those that there are."""
    torch.autograd.backward(loss)


def without_weights(**_: Any) -> nn.Module:
    """torchvision's ResNet-18, with random weights whatever is asked for."""
    from torchvision.models.resnet import resnet18

    network: nn.Module = resnet18(weights=None)
    return network


def confusions(original: Path, size: tuple[int, int]) -> tuple[Action, Action]:
    """A confusion matrix, from which ours reads the accuracy, and theirs with its own count of what is right."""
    random = np.random.default_rng(0)
    labels, prediction = (random.integers(0, 19, size).astype(np.uint8) for _ in range(2))
    with modules_of(original):
        theirs = module(original / "utils.py")

    def both() -> None:
        theirs.fast_hist(labels.flatten().astype(np.int64), prediction.flatten().astype(np.int64), 19)
        theirs.compute_global_accuracy(prediction, labels)

    return lambda: confusion(prediction, labels), both


def transforms(translate: Any, size: tuple[int, int], band: int) -> tuple[Action, Action]:
    """The transform of one image: ours knows the target's amplitudes from the epoch before."""
    random = torch.Generator().manual_seed(0)
    source, target = (255 * torch.rand(1, 3, *size, generator=random) for _ in range(2))
    amplitudes = low_frequencies(target, band).abs()
    arrays = source[0].numpy(), target[0].numpy()
    beta = (band + 0.5) / min(size)
    return lambda: lend_amplitudes(source, amplitudes, band), lambda: translate(*arrays, L=beta)


@contextmanager
def loading(original: Path, data: Path, size: tuple[int, int]) -> Iterator[dict[str, tuple[Action, Action]]]:
    """An epoch of batches of both domains, as tensors: ours is decoded in the first one, theirs in each.

    Files are in the system's cache. Ours decodes the splits that theirs does not read, of val and test, as well.
    """
    cpus = os.sched_getaffinity(0)
    # Ours reads ahead by a thread, which has no other CPU either.
    os.sched_setaffinity(0, {min(cpus)})
    try:
        with tempfile.TemporaryDirectory() as folder:
            ours = OurEpochs(data, size, Path(folder))
            theirs = TheirEpochs(original, data, ours.splits, size, Path(folder))
            yield {
                "loading, first epoch": (ours.first, partial(theirs.take, ours.steps)),
                "loading, later epochs": (ours.later, partial(theirs.take, ours.steps)),
            }
    finally:
        os.sched_setaffinity(0, cpus)


class OurEpochs:
    """Epochs as training sees them, without augmentation."""

    def __init__(self, data: Path, size: tuple[int, int], folder: Path) -> None:
        self._data, self._size, self._folder = data, size, folder
        self._taken = 0
        self.splits = self._decoded()
        self._batches = self._from(self.splits)
        smallest = min(len(self.splits.source_train), len(self.splits.target_adapt))
        self.steps = smallest // LOADED
        """Batches of an epoch: both domains' images, as long as there are whole ones of both."""

    def first(self) -> None:
        """Take the one that decodes."""
        batches = self._from(self._decoded())
        for step in range(self.steps):
            batches.at(step)

    def later(self) -> None:
        """Take the next one."""
        for _ in range(self.steps):
            self._batches.at(self._taken)
            self._taken += 1

    def _decoded(self) -> Splits:
        with patch.dict(os.environ, XDG_CACHE_HOME=tempfile.mkdtemp(dir=self._folder)):
            return gta5_to_cityscapes(self._data, size=self._size).open()

    def _from(self, splits: Splits) -> Batches:
        recipe = Recipe(batch=LOADED, augmentation="none")
        return Batches(Composition((Adversarial(),)), recipe, splits, 1, 1_000_000, torch.device("cpu"))


class TheirEpochs:
    """Epochs of the original study's data sets of the same images, of which it reads lists from a folder `data`."""

    def __init__(self, original: Path, data: Path, splits: Splits, size: tuple[int, int], folder: Path) -> None:
        self._folder = folder
        lay_out(folder / "data", splits, data)
        with modules_of(original):
            training = module(original / "train_DomainAdapt.py")
        # NumPy no longer takes the end of a line for what parts the fields of one.
        with chdir(folder), patch("numpy.loadtxt", lambda path, **_: Path(path).read_text(encoding="utf-8").split()):
            sets = training.GTADataset("train"), training.target_Dataset("train")
        for each in sets:
            each.crop_size = size[::-1]
        self._source, self._target = (DataLoader(each, batch_size=LOADED) for each in sets)

    def take(self, steps: int) -> None:
        """Take one."""
        with chdir(self._folder):
            for (_, labels), _ in itertools.islice(zip(self._source, self._target, strict=False), steps):
                labels.long()


def lay_out(folder: Path, splits: Splits, data: Path) -> None:
    """Link images and labels to where the original study has them, beside its lists of their names."""
    photographs = [f"{name}_leftImg8bit.png" for name in splits.target_adapt.names]
    rendered = [f"{name}.png" for name in splits.source_train.images.names]
    files = {f"Cityscapes/images/{Path(name).name}": f"cityscapes/leftImg8bit/train/{name}" for name in photographs}
    files |= {f"GTA5/{kind}/{name}": f"gta5/{kind}/{name}" for kind in ("images", "labels") for name in rendered}
    for link, file in files.items():
        (folder / link).parent.mkdir(parents=True, exist_ok=True)
        (folder / link).symlink_to(data.absolute() / file)
    for name, listed in (("Cityscapes", photographs), ("GTA5", rendered)):
        (folder / name / "train.txt").write_text("\n".join(listed), encoding="utf-8")


def module(file: Path) -> ModuleType:
    """A file as a module, under a name that is nobody else's."""
    spec = importlib.util.spec_from_file_location(f"peer_{file.parent.name}_{file.stem}", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise SystemExit(f"{file} must be a file of the checkout, got none; name the folder that holds .git")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@contextmanager
def modules_of(folder: Path) -> Iterator[None]:
    """Import from a folder first, and forget what was imported from it."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


if __name__ == "__main__":
    main()
