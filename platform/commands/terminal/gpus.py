"""What a plan says of GPUs of known names: how many trials one carries, and why."""

import math
from collections.abc import Iterable, Sequence

from platform.design.plan import PlannedRow
from platform.running.machine.gpus import Gpu, Load, known, known_of, load
from platform.running.machine.hardware import gpu
from platform.running.placement import Offer
from platform.training.cost import Uncounted
from platform.training.cost.traffic import traffic_of


def carried(rows: Sequence[PlannedRow], offer: Offer | None, where: Offer) -> str:
    """How many of the study's trials each GPU of a known name carries; empty where none takes part.

    Without an offer it is this machine's GPU that trains.
    """
    training = [each for each in rows if each.row.slot.gpus > 0 and each.work > 0]
    if not training or not where.has_gpus:
        return ""
    named = known(gpu()) if offer is None else None
    gpus = known_of(where.ever) if named is None else [named]
    return "; ".join(said for each in gpus if (said := _said(each, training)))


def _said(named: Gpu, rows: Sequence[PlannedRow]) -> str:
    """Of one GPU, and the rows that can be counted."""
    found = [(each, one) for each in rows if (one := _load(named, each)) is not None]
    if not found:
        return ""
    rows, loads = [each for each, _ in found], [one for _, one in found]
    trials = [each.trials for each in loads]
    times = f"a step takes {_milliseconds(each.device for each in loads)} ms of it and "
    times += f"{_milliseconds(each.launching for each in loads)} ms of launching"
    memory = f"{_range({math.ceil(each.memory) for each in loads})} GB of {named.memory:g}"
    overlapping = " under MPS" if max(trials) > 1 else ""
    carries = f"{named.article} {named.name} carries {_trials(trials)}{overlapping} ({times}, and {memory})"
    shares = sorted({each.row.slot.gpus for each in rows})
    taken = [_taken(each.row.slot.gpus) for each in rows]
    budget = f"Budget(gpus={shares[0]:g})" if len(shares) == 1 else "the study"
    takes = f"{budget} takes {_range(set(taken))}"
    pairs = [*zip(taken, trials, strict=True)]
    more, fewer = any(one > other for one, other in pairs), any(one < other for one, other in pairs)
    if more and not fewer:
        takes += ", which is more"
    if fewer and not more:
        takes += ", which is fewer"
    return f"{carries}; {takes}"


def _load(named: Gpu, planned: PlannedRow) -> Load | None:
    methods, recipe = planned.row.filled({})
    try:
        traffic = traffic_of(methods, recipe, planned.row.given_at_defaults, planned.row.shift.size)
    except Uncounted:
        # Whoever can be trained is not refused for what is only reckoned.
        return None
    return load(named, traffic, planned.work)


def _taken(share: float) -> int:
    """How many trials of a share Ray puts on one GPU."""
    return max(1, math.floor(1 / share + 1e-9))


def _trials(numbers: Sequence[int]) -> str:
    several = _range({*numbers})
    kind = "such trial" if max(numbers) == 1 else "such trials"
    return f"{several} {kind}" if len({*numbers}) == 1 else f"{several} {kind}, by their arm,"


def _milliseconds(seconds: Iterable[float]) -> str:
    return _range({max(1, round(1000 * each)) for each in seconds})


def _range(numbers: set[int]) -> str:
    least, most = min(numbers), max(numbers)
    return str(most) if least == most else f"{least} to {most}"
