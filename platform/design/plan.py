"""The plan of a study: everything that is known before anything runs. It needs no data and starts nothing."""

import functools
import math
from dataclasses import dataclass

import torch
from torch import nn

from platform.design.row import Row
from platform.design.study import Study
from platform.methods.method import Method
from platform.networks.cost import SIZE
from platform.training.cost import estimate_of
from platform.training.recipe import Recipe

GPU_TERAFLOPS = 5.0
CPU_TERAFLOPS = 0.03
"""Sustained training throughput that hours are estimated with: a mid-range GPU, and one core of a laptop."""
MOST_RANGES = 5
"""Searched fields per row beyond which a plan warns: the budget would be spread too thin."""
BACKWARD = 3
"""FLOPs of a training step in forward passes: one forward, and about two for its backward."""


@dataclass(frozen=True)
class PlannedRow:
    """One row, and what it takes."""

    row: Row
    petaflops: float
    """PFLOP to train all its trials at full length."""
    checkpoint_bytes: int
    """Size of one checkpoint."""


@dataclass(frozen=True)
class Plan:
    """What a study will do."""

    rows: tuple[PlannedRow, ...]
    steps_at_most: int
    steps_at_least: int
    hours: float
    """Estimated, on one device."""
    device: str
    warnings: tuple[str, ...]

    @property
    def trials(self) -> int:
        """Search and confirm trials of all rows."""
        return sum(planned.row.trials for planned in self.rows)

    @property
    def kept_bytes(self) -> int:
        """Disk space of the checkpoints that stay when the study is done: one for each confirm trial."""
        return sum(planned.row.confirm_trials * planned.checkpoint_bytes for planned in self.rows)

    @property
    def running_bytes(self) -> int:
        """Disk space that a running trial may need: its newest checkpoint is written beside the one it replaces."""
        return 2 * max(planned.checkpoint_bytes for planned in self.rows)

    @property
    def petaflops(self) -> float:
        """PFLOP to train all trials of all rows at full length."""
        return sum(planned.petaflops for planned in self.rows)


def plan(study: Study) -> Plan:
    """Rows, trials, steps and an estimate of the cost."""
    rows = tuple(_planned(row) for row in study.rows)
    steps = study.budget.steps
    first_rung = study.rungs[0] if study.rungs else steps
    teraflops, device = (GPU_TERAFLOPS, "GPU") if study.budget.gpus else (CPU_TERAFLOPS, "CPU core")
    return Plan(
        rows=rows,
        steps_at_most=sum(row.trials for row in study.rows) * steps,
        # At least one search trial of each row is never stopped.
        steps_at_least=sum(
            row.confirm_trials * steps + (steps + (row.search_trials - 1) * first_rung if row.search_trials else 0)
            for row in study.rows
        ),
        hours=sum(planned.petaflops for planned in rows) * 1000 / teraflops / 3600,
        device=f"one {device} at {teraflops:g} TFLOP/s",
        warnings=_warnings(study),
    )


def _planned(row: Row) -> PlannedRow:
    method, recipe = row.filled({})
    return PlannedRow(
        row=row,
        petaflops=row.trials * _petaflops(row, method, recipe),
        checkpoint_bytes=_checkpoint_bytes(method, recipe),
    )


def _petaflops(row: Row, method: Method, recipe: Recipe) -> float:
    """PFLOP of one full-length trial: source and target passes of the network, two judgements of the discriminator."""
    network, discriminator = estimate_of(method, recipe)
    per_image = network * (2 if method.sees_target else 1) + 2 * discriminator
    pixels = math.prod(row.shift.size) / math.prod(SIZE)
    return row.budget.steps * recipe.batch * BACKWARD * per_image * pixels / 1e6


def _checkpoint_bytes(method: Method, recipe: Recipe) -> int:
    """Weights and buffers, and what optimisers keep: SGD its momentum, Adam, which players train with, two moments."""
    with torch.random.fork_rng(devices=[]):
        players = method.players().values()
    network = _network_bytes(recipe.bare(), per_parameter=1 if recipe.momentum else 0)
    return network + sum(_bytes(player.module, per_parameter=2) for player in players)


@functools.cache
def _network_bytes(bare: Recipe, per_parameter: int) -> int:
    with torch.random.fork_rng(devices=[]):
        return _bytes(bare.network(), per_parameter)


def _bytes(module: nn.Module, per_parameter: int) -> int:
    """The size of a module's state, and of as many more numbers per parameter."""
    tensors = [*module.state_dict().values(), *per_parameter * list(module.parameters())]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _warnings(study: Study) -> tuple[str, ...]:
    warnings = [
        f"{row.name!r} searches {len(row.dimensions)} fields; more than {MOST_RANGES} spread its trials too thin"
        for row in study.rows
        if len(row.dimensions) > MOST_RANGES
    ]
    for row in study.rows:
        if row.defaults_outside:
            outside = ", ".join(f"{field} {default}" for field, default in row.defaults_outside.items())
            warnings.append(f"{row.name!r} tries its default first, outside of its ranges: {outside}")
    if len({row.search_trials for row in study.rows}) > 1:
        counts = ", ".join(f"{row.name}: {row.search_trials}" for row in study.rows)
        warnings.append(f"the rows do not get the same number of search trials ({counts})")
    if study.seeds < 2:
        warnings.append("one seed gives no interval; take at least 3")
    return tuple(warnings)
