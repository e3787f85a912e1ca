"""What each method costs beside source only, counted and measured: `python -m benchmarks.methods`.

GFLOPs are those of a training step for one image of each batch at 512 x 1024, of the published BiSeNet, counted from
what a method builds: every pass of every player, those that take gradients thrice. Seconds are those of whole steps on
this machine's GPU, else on its CPU with a smaller network and images: the median of several, source only's beside each
method's in turn, so that a machine which slows down slows both.
"""

import argparse
import statistics
import time

import torch

from platform import methods
from platform.methods import Method
from platform.methods.composition import Composition
from platform.networks import BiSeNet18
from platform.shifts import town
from platform.shifts.shift import Splits
from platform.training.cost import cost_of
from platform.training.recipe import Recipe
from platform.training.run import TrainingRun, make_deterministic

ROWS: dict[str, tuple[Method, ...]] = {
    "source only": (methods.SourceOnly(),),
    "target supervised": (methods.TargetSupervised(),),
    "rare-class sampling": (methods.RareClassSampling(),),
    "Lab transfer": (methods.LabTransfer(),),
    "FDA": (methods.FDA(),),
    "MinEnt": (methods.MinEnt(),),
    "CORAL": (methods.CORAL(),),
    "DANN": (methods.DANN(),),
    "adversarial, separable": (methods.Adversarial(separable=True),),
    "adversarial": (methods.Adversarial(),),
    "AdvEnt": (methods.AdvEnt(),),
    "two discriminators": (methods.MultiLevelAdversarial(),),
    "DACS": (methods.DACS(),),
    "FDA + adversarial": (methods.FDA(), methods.Adversarial()),
}
WARM, PAIRS = 3, 9
"""Steps before any is timed, and pairs of steps of which the median counts."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.methods", description="What each method costs a step.")
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"timed steps of each (default: {PAIRS})")
    pairs = parser.parse_args().pairs
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    size, recipe = ((512, 1024), Recipe()) if on_gpu else ((64, 128), Recipe(network=BiSeNet18(width=0.25)))
    splits = town(size=size, source_images=(8, 2), target_images=(8, 2, 2)).open()
    make_deterministic(torch.get_num_threads())
    name = torch.cuda.get_device_name() if on_gpu else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}, {size[0]} x {size[1]}, batch {recipe.batch}, {recipe.network}\n")
    print(f"{'':24}{'deployed':>12}{'only trained':>14}{'GFLOPs a step':>15}{'relative':>10}{'time':>8}")
    reference = cost_of(Composition(ROWS["source only"]), Recipe()).step_gflops
    for row, acting in ROWS.items():
        cost = cost_of(Composition(acting), Recipe())
        seconds = relative(Composition(acting), recipe, splits, device, pairs)
        print(
            f"{row:24}{cost.deployed_parameters:>12,}{cost.discriminator_parameters:>14,}{cost.step_gflops:>15.1f}"
            f"{cost.step_gflops / reference:>10.2f}{seconds:>8.2f}"
        )


def relative(composition: Composition, recipe: Recipe, splits: Splits, device: torch.device, pairs: int) -> float:
    """The median of a step's time, as a multiple of source only's."""
    runs = [
        TrainingRun(each, recipe, splits, 1, 10_000, device) for each in (Composition(ROWS["source only"]), composition)
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
