"""What each row was given and took, and what the study took, in words."""

import math

from platform.results.fairness.energy import Energies, Energy
from platform.results.fairness.hours import Hours, Spent
from platform.results.fairness.ledger import Fairness

TRIALS = (
    "arm",
    "search trials",
    "complete",
    "stopped",
    "failed",
    "steps searched",
    "steps confirmed",
    "steps of stopped trials",
    "steps of failed trials",
    "steps behind a score",
)
LABELS = (
    "arm",
    "budget of the reference",
    "trains on target labels",
    "picked by target labels",
    "hours searched",
    "hours confirmed",
    "hours failed",
    "hours behind the scores",
    "test labels read",
)
"""Heads of the ledger's two tables."""
READING = (
    "Hours are of training and evaluating: GPU hours by a trial's share of the GPU, CPU hours by its threads. Trials, "
    "steps and hours are the row's own. Steps behind a score are those of one run, and of the runs that it begins "
    "from. Hours behind the scores are those of the row's own trials, of all trials of the rows that it begins from, "
    "and of the search whose values it takes: a trial counts for each row that rests on it, and once for the study, "
    "below. Test labels are read by evaluations of runs on fresh seeds, for this table alone; what the target's val "
    "labels say stands in records as oracle/..., and picks only where the second table names it. A row whose ranges "
    "hold fewer points than the study has trials tried them all, which is all that there is."
)

COMPUTE = ("spent on", "GPU hours", "CPU hours", "kWh of GPUs", "kWh of processors")
"""Heads of the study's hours and energy."""
UNMEASURED, NO_GPU = "not measured", "no GPU"
METERS = (
    "Energy is what the machines' own meters counted (NVML for the GPU that a trial is trained on, RAPL for "
    "processors; read by codecarbon, which the extra `energy` installs), with all else that a machine did meanwhile, "
    "divided among the study's trials that it trained at the time. Memory, disks, cooling, and what lost workers had "
    "used are not in it. Nothing is estimated."
)


def trials(entry: Fairness) -> tuple[str, ...]:
    """A row of the first table, after the arm's name."""
    counts = (entry.trials, entry.complete, entry.stopped, entry.failed)
    steps = (entry.search_steps, entry.confirm_steps, entry.stopped_steps, entry.failed_steps, entry.steps_per_score)
    return (*map(str, counts), *(f"{number:,}" for number in steps))


def labels(entry: Fairness, is_reference: bool) -> tuple[str, ...]:
    """A row of the second table, after the arm's name."""
    equal = "reference" if is_reference else "yes" if entry.equal else f"no: {'; '.join(entry.why)}"
    evaluations = f"{entry.tested:,} evaluation{'s' * (entry.tested != 1)}"
    return (
        equal,
        entry.training_labels,
        entry.selection_labels,
        hours(entry.hours.search),
        hours(entry.hours.confirm),
        hours(entry.hours.failed),
        hours(entry.hours_behind),
        evaluations + (f", and {entry.tested_in_search:,} of the search" if entry.tested_in_search else ""),
    )


def hours(taken: Hours) -> str:
    """`0.25 GPU + 0.03 CPU`, `0` without any."""
    kinds = (("GPU", taken.gpu), ("CPU", taken.cpu))
    return " + ".join(f"{number:.3g} {kind}" for kind, number in kinds if number) or "0"


def compute(taken: Spent, used: Energies) -> list[tuple[str, ...]]:
    """The study's hours and energy: one line for each thing that they went to, and their sum."""
    lines = (("the search", "search"), ("runs that count", "confirm"), ("failed trials", "failed"), ("all", "total"))
    return [
        (
            what,
            f"{getattr(taken, name).gpu:.3g}",
            f"{getattr(taken, name).cpu:.3g}",
            kwh(getattr(used.gpus, name)) if taken.total.gpu else NO_GPU,
            kwh(getattr(used.processors, name)),
        )
        for what, name in lines
    ]


def kwh(value: float) -> str:
    """`0.0123`, or that nothing was measured."""
    return UNMEASURED if math.isnan(value) else f"{value:.3g}"


def coverage(used: Energies) -> str:
    """In how much of the time which meters were read; empty where none was."""
    kinds = (("GPUs", used.gpus), ("processors", used.processors))
    read = [f"{_percent(energy)} of the time for {kind}" for kind, energy in kinds if energy.measured]
    return f"Meters were read in {' and '.join(read)}." if read else ""


def _percent(energy: Energy) -> str:
    return f"{energy.measured:.0%}"
