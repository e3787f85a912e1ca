"""The plan of a study: everything that is known before anything runs. It needs no data and starts nothing."""

import functools
import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import get_args

import torch
from torch import nn
from torch.optim import Optimizer

from platform.design.ablation.cell import by_ablation
from platform.design.ablation.designs import beside_one_way
from platform.design.row import Row
from platform.design.study import Study
from platform.methods.composition import Composition
from platform.networks.cost import SIZE
from platform.networks.network import Domain
from platform.records.one_line import one_line
from platform.scores.evidence import MOST_BYTES
from platform.shifts.definition.mistakes import explained
from platform.training.cost import Estimate, Uncounted, domains_of, estimate_of
from platform.training.cost.tried import acting_of, players_of
from platform.training.given import Given
from platform.training.recipe import DOMAIN_SPECIFIC, Recipe
from platform.training.steps.rates import descent, optimiser_of

GPU_TERAFLOPS = 5.0
CPU_TERAFLOPS = 0.02
"""Sustained training throughput that hours are estimated with: a mid-range GPU, and one core of a laptop."""
FEW = 3
"""Rows that a warning names."""
MOST_RANGES = 5
"""Searched fields per row beyond which a plan warns: the budget would be spread too thin."""


@dataclass(frozen=True)
class PlannedRow:
    """One row, and what it takes."""

    row: Row
    estimate: Estimate
    """At the defaults of what is searched, at 512 x 1024."""
    petaflops: float
    """PFLOP to train all its trials at full length."""
    checkpoint_bytes: int
    """Size of one checkpoint."""
    method: str
    """As records name it."""
    work: float
    """GFLOP of a step."""

    @property
    def pixels(self) -> int:
        """Of an image."""
        return math.prod(self.row.shift.size)

    @property
    def under_way(self) -> int:
        """Search trials that can be under way at the same time."""
        return min(self.row.search.at_a_time, self.row.search_trials) if self.row.search else 0


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
    def searching(self) -> int:
        """How many slots the search can fill: more wait."""
        return sum(planned.under_way for planned in self.rows)

    @property
    def confirming(self) -> int:
        """How many slots the confirm trials can fill; where rows race, in the end."""
        return sum(len(planned.row.confirm_numbers) for planned in self.rows)

    @property
    def at_once(self) -> int:
        """How many slots the study can fill at most: rows search and confirm at times of their own."""
        return sum(max(planned.under_way, len(planned.row.confirm_numbers)) for planned in self.rows)

    @property
    def waiting_bytes(self) -> int:
        """Disk space of checkpoints of search trials that can be under way at the same time, or wait at a rung."""
        return sum(
            (planned.row.search_trials if planned.row.search and planned.row.search.promote else planned.under_way)
            * planned.checkpoint_bytes
            for planned in self.rows
        )

    @property
    def trials(self) -> int:
        """Search and confirm trials of all rows."""
        return sum(planned.row.trials for planned in self.rows)

    @property
    def kept_bytes(self) -> int:
        """Disk space of the checkpoints that stay when the study is done: one for each confirm trial."""
        return sum(len(planned.row.confirm_numbers) * planned.checkpoint_bytes for planned in self.rows)

    @property
    def evidence_bytes(self) -> int:
        """Disk space of what selectors are computed from, at most: it stays, of every evaluation of every trial."""
        return sum(planned.row.trials * planned.row.evaluations for planned in self.rows) * MOST_BYTES

    @property
    def running_bytes(self) -> int:
        """Disk space that a running trial may need: its newest checkpoint is written beside the one it replaces."""
        return 2 * max(planned.checkpoint_bytes for planned in self.rows)

    @property
    def petaflops(self) -> float:
        """PFLOP to train all trials of all rows at full length."""
        return sum(planned.petaflops for planned in self.rows)


def teraflops(on_gpu: bool) -> float:
    """The speed of the device that is reckoned with."""
    return GPU_TERAFLOPS if on_gpu else CPU_TERAFLOPS


def reckoned_device(on_gpu: bool) -> str:
    """The device that is reckoned with, in words."""
    return f"one {'GPU' if on_gpu else 'CPU core'} at {teraflops(on_gpu):g} TFLOP/s"


def plan(study: Study) -> Plan:
    """Rows, trials, steps and an estimate of the cost."""
    trained = _trained(study)
    rows = tuple(map(_planned, trained))
    steps = study.budget.steps
    on_gpu = study.budget.gpus > 0
    return Plan(
        rows=rows,
        steps_at_most=sum(row.trials for row in trained) * steps,
        steps_at_least=sum(len(row.confirms(study.looks[0])) * steps + _least_search(study, row) for row in trained),
        hours=sum(planned.petaflops for planned in rows) * 1000 / teraflops(on_gpu) / 3600,
        device=reckoned_device(on_gpu),
        warnings=_warnings(study),
    )


def _trained(study: Study) -> list[Row]:
    """The rows that are trained; of an ablation path, which goes where its scores lead, those of one way through."""
    cells = {name: arm.cell for name, arm in study.arms.items() if arm.cell is not None}
    beside = beside_one_way(cells) - {study.reference}
    return [row for row in study.rows if row.name not in beside]


def _least_search(study: Study, row: Row) -> int:
    """The steps of a row's search trials if as many as can be are stopped, and none fails."""
    if row.search is None or not row.search_trials:
        return 0
    found, left = 0, row.search_trials
    for before, step in itertools.pairwise((0, *study.rungs, row.budget.steps)):
        found += left * (step - before)
        left = row.search.least(left)
    return found


def _planned(row: Row) -> PlannedRow:
    try:
        return _counted(row)
    except Uncounted as error:
        raise Uncounted(f"arm {row.name!r}: {error}") from error


def _counted(row: Row) -> PlannedRow:
    methods, recipe = row.filled({})
    if DOMAIN_SPECIFIC in row.arm.norms(row.recipe):
        _check_passed(methods, domains_of(methods, recipe, row.given_at_defaults))
    estimate = estimate_of(methods, recipe, row.given_at_defaults)
    work = recipe.batch * estimate.step_gflops * math.prod(row.shift.size) / math.prod(SIZE)
    return PlannedRow(
        row=row,
        estimate=estimate,
        petaflops=row.trials * row.budget.steps * work / 1e6,
        checkpoint_bytes=_checkpoint_bytes(methods, recipe, row.given_at_defaults),
        method=methods.name,
        work=work,
    )


def _check_passed(methods: Composition, domains: frozenset[Domain]) -> None:
    """Raise Uncounted where a domain's own norms would stay as they began."""
    for domain in get_args(Domain):
        if domain not in domains:
            raise Uncounted(
                f'batch_norm="{DOMAIN_SPECIFIC}" needs methods that pass images of both domains, and {methods.name} '
                f'passes none of the {domain}; give the row batch_norm="mixed"'
            )


def _checkpoint_bytes(methods: Composition, recipe: Recipe, given: tuple[Given, ...]) -> int:
    """Weights and buffers of all players, and what their optimisers keep."""
    acting = acting_of(methods, recipe, given)
    # Whatever else a recipe says, and many rows search, decides no size.
    total = _network_bytes(replace(recipe, network=acting.bare, learning_rate=1.0))
    for players in players_of(acting):
        for name, player in players.items():
            total += _bytes(player.module, _kept(f"{methods.name}: the player {name}", player.optimiser))
    return total


def _kept(whose: str, optimiser: Callable[[Iterable[nn.Parameter]], Optimizer] | None) -> int:
    """How many numbers an optimiser keeps for each parameter: as many as for one, of two numbers, after a step."""
    if optimiser is None:
        return 0
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.ones(2)
    try:
        made = optimiser([parameter])
        made.step()
    except Exception as error:
        raise Uncounted(
            f"{whose} must have an optimiser that takes parameters, as partial(torch.optim.Adam, lr=1e-4), got "
            f"{one_line(repr(optimiser), 100)}, which raises {explained(error)}"
        ) from error
    kept = made.state[parameter].values()
    return sum(value.numel() == parameter.numel() for value in kept if isinstance(value, torch.Tensor))


@functools.cache
def _network_bytes(bare: Recipe) -> int:
    """The network's, by a recipe without weights that are fetched. Raises Uncounted for one that it does not suit."""
    with torch.random.fork_rng(devices=[]):
        try:
            network = bare.build()
            descent(network, bare)
        except ValueError as error:
            raise Uncounted(str(error)) from error
    return _bytes(network, _kept("Recipe", partial(optimiser_of(bare), lr=1.0)))


def _bytes(module: nn.Module, per_parameter: int) -> int:
    """The size of a module's state, and of as many more numbers per parameter."""
    tensors = [*module.state_dict().values(), *per_parameter * list(module.parameters())]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors if isinstance(tensor, torch.Tensor))


def _named(number: str, rows: list[str]) -> str:
    """Which rows get a number, the first few by name."""
    more = f" and {len(rows) - FEW} more" if len(rows) > FEW else ""
    return f"{number}: {', '.join(rows[:FEW])}{more}"


def _warnings(study: Study) -> tuple[str, ...]:
    warnings = [
        f"{row.name!r} searches {len(row.dimensions)} fields; more than {MOST_RANGES} spread its trials too thin"
        for row in study.rows
        if row.search_trials and len(row.dimensions) > MOST_RANGES
    ]
    for row in study.rows:
        if row.search_trials and row.defaults_outside:
            outside = ", ".join(f"{field} {default}" for field, default in row.defaults_outside.items())
            warnings.append(f"{row.name!r} tries its default first, outside of its ranges: {outside}")
    # A vote of other rows, or AdaBN, has nothing to tune; what is tuned as another row takes part in its search.
    trained = [row for row in study.rows if row.arm.trains and row.lender is None]
    if len({row.search_trials for row in trained}) > 1:
        numbers = sorted({row.search_trials for row in trained}, reverse=True)
        counts = (_named(str(n), [row.name for row in trained if row.search_trials == n]) for n in numbers)
        warnings.append(f"the rows do not get the same number of search trials ({'; '.join(counts)})")
    for ablation, own in by_ablation((name, arm.cell) for name, arm in study.arms.items()).items():
        if beside := beside_one_way(own):
            warnings.append(
                f"the path of {ablation!r} trains {len(own) - len(beside)} of its {len(own)} rows, wherever their "
                "scores lead; the plan has those of one way, the parts put in in their order"
            )
    if study.seeds < 2:
        warnings.append("one seed gives no interval; take at least 3")
    return tuple(warnings)
