"""What evidence costs an evaluation, and selectors a checkpoint: `python -m benchmarks.evidence`.

Evaluations are those of the quickstart's search trials, on one thread: of both val splits alone, and with evidence, its
file included, in turn, so that a machine which slows down slows both. Selectors are all of the shelf, on evidence in
memory: `python -m platform.audit` reads it from files, resamples and draws besides.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from platform.methods import SourceOnly
from platform.methods.composition import Composition
from platform.scores.evidence import Evidence, saved
from platform.scores.selectors import SHELF
from platform.scores.selectors.judgement import judged_by_each
from platform.study import Study
from platform.training.device.process import make_deterministic
from platform.training.evaluation import evaluate, evaluation
from platform.training.run import TrainingRun
from studies.quickstart import study as quickstart

PAIRS = 9
"""Pairs of evaluations of which the median counts."""


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence", description="What evidence costs.")
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"timed evaluations of each (default: {PAIRS})")
    measure(quickstart, parser.parse_args().pairs)


def measure(study: Study, pairs: int) -> None:
    """Print what an evaluation takes without evidence and with it, and what selectors take for 1,000 checkpoints."""
    make_deterministic(1)
    splits = study.shift.open()
    run = TrainingRun(Composition((SourceOnly(),)), study.recipe, splits, 1, pairs + 1, torch.device("cpu"))
    kept: list[Evidence] = []

    def bare() -> None:
        evaluate(run, splits.source_val, "source")
        evaluate(run, splits.oracle.val, "target")

    def whole() -> None:
        kept.append(evaluation(run, study.shift.groups, tested=False).evidence)
        saved(kept[-1])

    times = []
    for _ in range(pairs):
        run.advance(1)
        times.append((seconds_of(bare), seconds_of(whole)))
    without, beside = (statistics.median(each) for each in zip(*times, strict=True))
    ratio = statistics.median(whole / bare for bare, whole in times)
    print(f"an evaluation without evidence   {without:.3f} s")
    print(f"an evaluation with evidence      {beside:.3f} s, {ratio:.2f} times as long")
    shelf = {selector.name: selector for selector in SHELF}
    judged = seconds_of(lambda: judged_by_each(shelf, kept)) / len(kept)
    print(f"all selectors, 1,000 checkpoints {1000 * judged:.1f} s")


def seconds_of(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
