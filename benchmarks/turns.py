"""One side of `benchmarks.steps`: it takes its turns, in whichever checkout of this repository it is run.

It is run as a text, from a checkout's folder, and imports what lies there. So it uses only what is as old as the oldest
checkout to compare with.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from types import ModuleType

import torch

from platform.training.evaluation import evaluation
from platform.training.run import TrainingRun
from studies.quickstart import study

WARM = 3
"""Steps before any is timed."""


def main() -> None:
    """Say what there is to take, then take what is asked for, line by line, and say how many seconds it took."""
    prepare()
    splits = study.shift.open()
    actions: dict[str, Callable[[], object]] = {}
    for row in study.rows:
        methods, recipe = row.filled(row.defaults)
        run = TrainingRun(methods, recipe, splits, 1, 10_000, torch.device("cpu"))
        run.advance(WARM)
        actions[row.name] = partial(run.advance, int(sys.argv[1]))
    actions["evaluation"] = partial(evaluation, run, study.shift.groups, tested=False)
    print(json.dumps([*actions]), flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        actions[json.loads(line)]()
        print(time.perf_counter() - began, flush=True)


def prepare() -> None:
    """Set this process up as the checkout's trials are set up, on one thread."""
    process: ModuleType
    try:
        process = importlib.import_module("platform.training.device.process")
        process.keep_memory()
    except ModuleNotFoundError:
        # Checkouts of before keep no memory, and have the rest there.
        process = importlib.import_module("platform.training.run")
    process.make_deterministic(1)


if __name__ == "__main__":
    main()
