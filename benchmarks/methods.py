"""What each method costs beside source only, counted and measured: `python -m benchmarks.methods`.

GFLOPs are those of a training step for one image of each batch at 512 x 1024, of the published BiSeNet, counted from
what a method builds: every pass of every player, and the gradients that are taken of it. Times are multiples of source
only's, of whole steps on this machine's GPU, else on its CPU with a smaller BiSeNet (but never a smaller LR-ASPP) and
smaller images: the median of several, source only's beside each method's in turn, so that a machine which slows down
slows both.
"""

import argparse
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace

import torch

from platform import methods
from platform.methods import Method
from platform.methods.composition import Composition
from platform.networks import LRASPP, Architecture, BiSeNet18
from platform.networks.cost import Cost
from platform.shifts import town
from platform.shifts.shift import Splits
from platform.training.cost import cost_of
from platform.training.device.process import make_deterministic
from platform.training.given import Given
from platform.training.recipe import Recipe
from platform.training.run import TrainingRun


class Row:
    """Methods, the network if it is not the others', and from how many runs of source only they begin."""

    def __init__(self, *acting: Method, network: Architecture | None = None, after: int = 0) -> None:
        self.composition = Composition(acting)
        self.network = network
        self.after = after

    def recipe(self, recipe: Recipe) -> Recipe:
        """A recipe, with the row's own network."""
        return recipe if self.network is None else replace(recipe, network=self.network)

    def published(self) -> tuple[Composition, Recipe, tuple[Given, ...]]:
        """The methods, by the published recipe, and the runs that they begin from."""
        recipe = self.recipe(Recipe())
        return self.composition, recipe, (Given(SOURCE_ONLY, recipe),) * self.after

    def cost(self) -> Cost:
        """What it costs by the published recipe."""
        return cost_of(*self.published())


SOURCE_ONLY = Composition((methods.SourceOnly(),))
ROWS = {
    "source only": Row(methods.SourceOnly()),
    "target supervised": Row(methods.TargetSupervised()),
    "rare-class sampling": Row(methods.RareClassSampling()),
    "Lab transfer": Row(methods.LabTransfer()),
    "histogram matching": Row(methods.HistogramMatching()),
    "FDA": Row(methods.FDA()),
    "MinEnt": Row(methods.MinEnt()),
    "MaxSquare": Row(methods.MaxSquare()),
    "CORAL": Row(methods.CORAL()),
    "MMD": Row(methods.MMD()),
    "batch norm's moments": Row(methods.BatchNormMoments()),
    "DANN": Row(methods.DANN()),
    "adversarial, separable": Row(methods.Adversarial(separable=True)),
    "adversarial": Row(methods.Adversarial()),
    "AdvEnt": Row(methods.AdvEnt()),
    "two discriminators": Row(methods.MultiLevelAdversarial()),
    "class-conditional": Row(methods.ClassConditionalAdversarial()),
    "pseudo-labels": Row(methods.PseudoLabels(), after=1),
    "CBST": Row(methods.CBST(), after=1),
    "FDA + multi-band": Row(methods.FDA(), methods.MultiBandTransfer(), after=3),
    "DACS": Row(methods.DACS()),
    "FDA + adversarial": Row(methods.FDA(), methods.Adversarial()),
    "AdaBN after source only": Row(methods.AdaBN(), after=1),
    "distillation": Row(methods.Distillation(), after=1),
    "majority vote of three": Row(methods.MajorityVote(), after=3),
    "source only, LR-ASPP": Row(methods.SourceOnly(), network=LRASPP()),
}
WARM, PAIRS = 3, 9
"""Steps before any is timed, and pairs of steps of which the median counts."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.methods", description="What each method costs a step.")
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"timed steps of each (default: {PAIRS})")
    measure(ROWS, parser.parse_args().pairs)


def measure(rows: Mapping[str, Row], pairs: int) -> None:
    """Print a line for each row."""
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    size, recipe = ((512, 1024), Recipe()) if on_gpu else ((64, 128), Recipe(network=BiSeNet18(width=0.25)))
    splits = town(size=size, source_images=(8, 2), target_images=(8, 2, 2)).open()
    make_deterministic(torch.get_num_threads())
    machine = torch.cuda.get_device_name() if on_gpu else f"CPU, {torch.get_num_threads()} threads"
    print(f"counted: {Recipe().network}, 512 x 1024")
    print(f"timed:   {recipe.network}, {size[0]} x {size[1]}, batch {recipe.batch}, on {machine}\n")
    print(f"{'':24}{'deployed':>12}{'only trained':>14}{'GFLOPs a step':>15}{'relative':>10}{'time':>8}")
    reference = ROWS["source only"].cost().step_gflops
    for name, row in rows.items():
        cost = row.cost()
        times = relative(row, recipe, splits, device, pairs)
        print(
            f"{name:24}{cost.deployed_parameters:>12,}{cost.discriminator_parameters:>14,}{cost.step_gflops:>15.1f}"
            f"{cost.step_gflops / reference:>10.2f}{times:>8.2f}"
        )


def relative(row: Row, recipe: Recipe, splits: Splits, device: torch.device, pairs: int) -> float:
    """The median of a step's time, as a multiple of source only's."""
    own = row.recipe(recipe)
    given = [own.network.build().to(device) for _ in range(row.after)]
    runs = [
        TrainingRun(SOURCE_ONLY, recipe, splits, 1, 10_000, device),
        TrainingRun(row.composition, own, splits, 1, 10_000, device, given),
    ]
    for run in runs:
        run.advance(WARM)
    ratios = []
    for _ in range(pairs):
        bare, whole = (seconds_of(run) for run in runs)
        ratios.append(whole / bare)
    return statistics.median(ratios)


def seconds_of(run: TrainingRun) -> float:
    """The time of a step, until the device has done it: means of what is noted are read at its end."""
    began = time.perf_counter()
    run.advance(1)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
