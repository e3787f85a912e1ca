"""The plan of a study: everything that is known before anything runs. It needs no data and starts nothing."""

from dataclasses import asdict, dataclass

from platform.records import ArmHeader, StudyHeader
from platform.study import Study, resolved

GPU_TERAFLOPS = 5.0
CPU_TERAFLOPS = 0.03
"""Sustained training throughput that hours are estimated with: a mid-range GPU, and one core of a laptop."""
MOST_RANGES = 5
"""Searched fields per row beyond which a plan warns: the budget would be spread too thin."""
BACKWARD = 3
"""FLOPs of a training step in forward passes: one forward, and about two for its backward."""
COST_PIXELS = 512 * 1024
"""Pixels of the image that `platform.networks.cost` counts for."""


@dataclass(frozen=True)
class PlannedArm:
    """One row, planned."""

    name: str
    search_trials: int
    confirm_trials: int
    settings: str
    """Ranges and fixed fields, as text."""
    petaflops: float
    """Of training all trials at full length."""


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


def describe(study: Study, name: str) -> str:
    """The plan as text for an 80-column terminal."""
    planned = plan(study)
    height, width = study.shift.size
    lines = [
        f"{name}: {study.shift.name} at {height} x {width}, "
        f"{len(study.shift.groups)} classes, reference {study.reference!r}",
        f"  {len(planned.arms)} rows, {planned.trials} trials: "
        f"{sum(arm.search_trials for arm in planned.arms)} search (seed 0) "
        f"+ {sum(arm.confirm_trials for arm in planned.arms)} confirm (seeds 1 to {study.seeds})",
        f"  {study.budget.steps:,} steps a trial, {study.budget.evaluations} evaluations; "
        f"{planned.steps_at_least:,} to {planned.steps_at_most:,} steps in all",
        f"  selected by {study.select}" + (", which uses target labels" if study.select.startswith("oracle/") else ""),
    ]
    if study.search is not None:
        rungs = ", ".join(f"{rung:,}" for rung in study.rungs) or "none"
        lines.append(f"  rungs at steps {rungs}; 1 trial in {study.search.reduction} of an arm goes on")
    lines.append(
        f"  at most {sum(arm.petaflops for arm in planned.arms):,.2g} PFLOP of training, "
        f"about {planned.hours:,.2g} h on {planned.device}"
    )
    label = max(len(arm.name) for arm in planned.arms)
    for arm in planned.arms:
        lines.append(f"\n  {arm.name:<{label}}  {arm.search_trials} search + {arm.confirm_trials} confirm")
        lines.extend(f"      {setting}" for setting in arm.settings.splitlines())
    lines.extend(f"\nnote: {warning}" for warning in planned.warnings)
    return "\n".join(lines)


def header(study: Study, name: str, question: str, shift_identity: dict[str, object], source: str) -> StudyHeader:
    """What the study's records must hold for the table to be made from them alone."""
    return StudyHeader(
        name=name,
        question=question,
        arms=tuple(
            ArmHeader(
                name=arm_name,
                method=arm.method.__name__,
                supervised=arm.method.labelled == "target",
                searched={field: str(range_) for field, range_ in arm.ranges.items()},
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
        shift=shift_identity,
        source=source,
    )


def _planned(study: Study, name: str) -> PlannedArm:
    search, confirm = study.search_trials(name), study.seeds
    return PlannedArm(name, search, confirm, _settings(study, name), (search + confirm) * _petaflops(study, name))


def _petaflops(study: Study, name: str) -> float:
    """Of one full-length trial: source and target passes of the network, three judgements of the discriminator."""
    method, recipe = study.arms[name].filled({}, study.recipe)
    cost = study.cost(name)
    per_image = cost.deployed_gflops * (2 if method.sees_target else 1) + 2 * cost.discriminator_gflops
    pixels = study.shift.size[0] * study.shift.size[1] / COST_PIXELS
    return study.budget.steps * recipe.batch * BACKWARD * per_image * pixels / 1e6


def _settings(study: Study, name: str) -> str:
    arm, lines = study.arms[name], []
    integers = {field: arm.method.integer(field, study.shift.size) for field in arm.ranges}
    for field, range_ in arm.ranges.items():
        integer = integers[field]
        meaning = ""
        if integer is not None:
            values = sorted(integer.of(end) for end in range_.ends())
            meaning = f", {integer.name} {values[0]} to {values[-1]}"
        lines.append(f"{field}: {range_}{meaning}")
    method, _ = arm.filled({}, study.recipe)
    for field, meanings in resolved(method, study.shift.size).items():
        if field not in arm.ranges:
            lines.append(f"{field}: {getattr(method, field)}, " + ", ".join(f"{k} {v}" for k, v in meanings.items()))
    fixed = {k: v for k, v in arm.fields.items() if k not in arm.ranges and k not in resolved(method, study.shift.size)}
    lines.extend(f"{field}: {value}" for field, value in fixed.items())
    return "\n".join(lines)


def _warnings(study: Study, arms: tuple[PlannedArm, ...]) -> tuple[str, ...]:
    warnings = [
        f"{name!r} searches {len(arm.ranges)} fields; more than {MOST_RANGES} spread its trials too thin"
        for name, arm in study.arms.items()
        if len(arm.ranges) > MOST_RANGES
    ]
    if len({arm.search_trials for arm in arms}) > 1:
        counts = ", ".join(f"{arm.name}: {arm.search_trials}" for arm in arms)
        warnings.append(f"the rows do not get the same number of search trials ({counts})")
    if study.seeds < 2:
        warnings.append("one seed gives no interval; take at least 3")
    return tuple(warnings)
