"""The plan of a study: everything that is known before anything runs. It needs no data and starts nothing."""

import functools
import math
from dataclasses import asdict, dataclass

import torch
from torch import nn

from platform.design.arm import resolved
from platform.design.study import Study, networks_of
from platform.methods.method import Method
from platform.networks import cost
from platform.networks.bisenet import BiSeNet
from platform.records.record import ArmHeader, StudyHeader
from platform.training.recipe import Recipe

GPU_TERAFLOPS = 5.0
CPU_TERAFLOPS = 0.03
"""Sustained training throughput that hours are estimated with: a mid-range GPU, and one core of a laptop."""
MOST_RANGES = 5
"""Searched fields per row beyond which a plan warns: the budget would be spread too thin."""
BACKWARD = 3
"""FLOPs of a training step in forward passes: one forward, and about two for its backward."""


@dataclass(frozen=True)
class PlannedArm:
    """One row, planned."""

    name: str
    search_trials: int
    confirm_trials: int
    settings: dict[str, str]
    """Ranges, then fixed fields, with the integers that they mean at the shift's size."""
    petaflops: float
    """Of training all trials at full length."""
    checkpoint_bytes: int
    """Of one of its trials."""


@dataclass(frozen=True)
class Plan:
    """What a study will do."""

    arms: tuple[PlannedArm, ...]
    steps_at_most: int
    steps_at_least: int
    hours: float
    """Estimated, on one device."""
    device: str
    warnings: tuple[str, ...]

    @property
    def trials(self) -> int:
        """Search and confirm trials of all arms."""
        return sum(arm.search_trials + arm.confirm_trials for arm in self.arms)

    @property
    def kept_bytes(self) -> int:
        """Disk space of the checkpoints that stay when the study is done: one for each confirm trial."""
        return sum(arm.confirm_trials * arm.checkpoint_bytes for arm in self.arms)

    @property
    def running_bytes(self) -> int:
        """Disk space that a running trial may need: its newest checkpoint is written beside the one it replaces."""
        return 2 * max(arm.checkpoint_bytes for arm in self.arms)

    @property
    def petaflops(self) -> float:
        """Of training all trials of all arms at full length."""
        return sum(arm.petaflops for arm in self.arms)


def plan(study: Study) -> Plan:
    """Rows, trials, steps and an estimate of the cost."""
    arms = tuple(_planned(study, name) for name in study.arms)
    steps = study.budget.steps
    first_rung = study.rungs[0] if study.rungs else steps
    teraflops, device = (GPU_TERAFLOPS, "GPU") if study.budget.gpus else (CPU_TERAFLOPS, "CPU core")
    return Plan(
        arms=arms,
        steps_at_most=sum(arm.search_trials + arm.confirm_trials for arm in arms) * steps,
        # Of each arm at least one trial is never cut.
        steps_at_least=sum(
            arm.confirm_trials * steps + (steps + (arm.search_trials - 1) * first_rung if arm.search_trials else 0)
            for arm in arms
        ),
        hours=sum(arm.petaflops for arm in arms) * 1000 / teraflops / 3600,
        device=f"one {device} at {teraflops:g} TFLOP/s",
        warnings=_warnings(study, arms),
    )


def header(
    study: Study, name: str, question: str, shift_identity: dict[str, object], source: str, began: str
) -> StudyHeader:
    """What the study's records must hold for the table to be made from them alone."""
    return StudyHeader(
        name=name,
        question=question,
        arms=tuple(
            ArmHeader(
                name=arm_name,
                method=arm.method.__name__,
                supervised=arm.method.labelled == "target",
                select=study.selector(arm_name),
                searched={field: str(range_) for field, range_ in arm.ranges.items()},
                search_trials=study.search_trials(arm_name),
                cost=asdict(study.cost(arm_name)),
            )
            for arm_name, arm in study.arms.items()
        ),
        reference=study.reference,
        select=study.select,
        seeds=study.seeds,
        search_trials=study.search.trials if study.search else 0,
        steps=study.budget.steps,
        rungs=study.rungs,
        reduction=study.search.reduction if study.search else 0,
        smoothing=study.search.smoothing if study.search else 0,
        shift=shift_identity,
        source=source,
        began=began,
    )


def _planned(study: Study, name: str) -> PlannedArm:
    search, confirm = study.search_trials(name), study.seeds
    return PlannedArm(
        name=name,
        search_trials=search,
        confirm_trials=confirm,
        settings=_settings(study, name),
        petaflops=(search + confirm) * _petaflops(study, name),
        checkpoint_bytes=_checkpoint_bytes(*study.arms[name].filled({}, study.recipe)),
    )


def _petaflops(study: Study, name: str) -> float:
    """Of one full-length trial: source and target passes of the network, two judgements of the discriminator."""
    method, recipe = study.arms[name].filled({}, study.recipe)
    network, discriminator = cost.estimate(*networks_of(method, recipe))
    per_image = network * (2 if method.sees_target else 1) + 2 * discriminator
    pixels = study.shift.size[0] * study.shift.size[1] / math.prod(cost.SIZE)
    return study.budget.steps * recipe.batch * BACKWARD * per_image * pixels / 1e6


def _checkpoint_bytes(method: Method, recipe: Recipe) -> int:
    """Weights and buffers, and what optimisers keep: SGD its momentum, Adam, which players train with, two moments."""
    with torch.random.fork_rng(devices=[]):
        players = method.players().values()
    network = _network_bytes(recipe.network_width, per_parameter=1 if recipe.momentum else 0)
    return network + sum(_bytes(player.module, per_parameter=2) for player in players)


@functools.cache
def _network_bytes(width: float, per_parameter: int) -> int:
    with torch.random.fork_rng(devices=[]):
        return _bytes(BiSeNet(width=width), per_parameter)


def _bytes(module: nn.Module, per_parameter: int) -> int:
    """Of a module's state, and of so many numbers more per parameter."""
    tensors = [*module.state_dict().values(), *per_parameter * list(module.parameters())]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _settings(study: Study, name: str) -> dict[str, str]:
    arm = study.arms[name]
    settings = {}
    for field, range_ in arm.ranges.items():
        integer = arm.method.integer(field, study.shift.size)
        bounds = sorted(integer.of(end) for end in range_.ends()) if integer else []
        settings[field] = f"{range_}, {integer.name} {bounds[0]} to {bounds[-1]}" if integer else str(range_)
    method, _ = arm.filled({}, study.recipe)
    meanings = resolved(method, study.shift.size)
    # A field that acts through an integer is shown at its default too: what it means depends on the size.
    fixed = dict(arm.fields) | {field: getattr(method, field) for field in meanings}
    for field in (field for field in fixed if field not in arm.ranges):
        meaning = "".join(f", {integer} {number}" for integer, number in meanings.get(field, {}).items())
        settings[field] = f"{fixed[field]}{meaning}"
    return settings | ({"slot": str(study.slot(name))} if arm.share else {})


def _warnings(study: Study, arms: tuple[PlannedArm, ...]) -> tuple[str, ...]:
    warnings = [
        f"{name!r} searches {len(arm.ranges)} fields; more than {MOST_RANGES} spread its trials too thin"
        for name, arm in study.arms.items()
        if len(arm.ranges) > MOST_RANGES
    ]
    for name in study.arms:
        outside = [
            f"{field} {study.defaults(name)[field]}"
            for field, dimension in study.dimensions(name).items()
            if not dimension.holds(study.defaults(name)[field])
        ]
        if outside:
            warnings.append(f"{name!r} tries its default first, outside of its ranges: {', '.join(outside)}")
    if len({arm.search_trials for arm in arms}) > 1:
        counts = ", ".join(f"{arm.name}: {arm.search_trials}" for arm in arms)
        warnings.append(f"the rows do not get the same number of search trials ({counts})")
    if study.seeds < 2:
        warnings.append("one seed gives no interval; take at least 3")
    return tuple(warnings)
