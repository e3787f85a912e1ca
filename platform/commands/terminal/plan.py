"""A study's plan as text for a terminal."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields

from platform.commands.terminal.gpus import carried
from platform.commands.terminal.screen import COLUMNS
from platform.design.ablation.cell import Cell, by_ablation
from platform.design.ablation.contrasts import contrasts
from platform.design.ablation.designs import beside_one_way
from platform.design.ablation.fractional import resolution
from platform.design.asha import ASHA
from platform.design.plan import Plan, plan, reckoned_device
from platform.design.row import Row
from platform.design.study import Study
from platform.records.provenance import processor
from platform.records.record import CPU, SELECTED
from platform.records.store import Store
from platform.records.trial import START_NUMBER, confirm_seed
from platform.results.earlier.pace import Machine, Measured, measured
from platform.results.earlier.spread import Spread, spread_on_record
from platform.results.lines import arms_listed, count, hanging, padded
from platform.results.replay.forecast import forecast
from platform.results.report.sections import effects
from platform.results.report.sections.differences import WISHES, wishes
from platform.results.statistics.power import ASSUMED_DEVIATION, smallest_difference
from platform.results.statistics.significance import LEVEL
from platform.running.machine.hardware import gpu, this_machine
from platform.running.placement import Offer, at_a_time
from platform.training.cost import Estimate
from platform.training.recipe import Recipe


def describe(
    study: Study,
    name: str,
    offer: Offer | None = None,
    store: Store | None = None,
    elsewhere: bool = False,
    wished: Collection[float] = (),
) -> str:
    """The plan as text for an 80-column terminal, for a cluster, or for this machine, and its earlier trials.

    It says no time for a study that runs elsewhere, on machines that nobody has asked, and how many seeds differences
    take, those that are wished for among them.
    """
    planned = plan(study)
    facts = _asked(study, name, planned, store, {*WISHES, *wished}) | _taken(study, planned, offer, store, elsewhere)
    notes = [*planned.warnings, *_idle(study, planned, offer)]
    blocks = [[name, *_fields(facts, indent=2)], *_rows(study, planned)]
    blocks += [hanging(f"note: {note}", COLUMNS, rest="      ") for note in notes]
    return "\n\n".join("\n".join(block) for block in blocks)


def _asked(study: Study, name: str, planned: Plan, store: Store | None, wished: Collection[float]) -> dict[str, str]:
    """What is compared, by how many trials of how many steps, and what that shows."""
    budget, (height, width) = study.budget, study.shift.size
    search = sum(each.row.search_trials for each in planned.rows)
    confirm = sum(each.row.seeds for each in planned.rows)
    starts = sum(each.row.starts_searches for each in planned.rows)
    spread = _spread(study, name, store)
    return {
        "shift": f"{study.shift.name} at {height} x {width}, {len(study.shift.groups)} classes",
        "trials": f"{planned.trials} = {search} search (seed 0) + {confirm} confirm ({_confirm_seeds(study)})"
        + (f" + {starts} that searches begin from (seed {confirm_seed(START_NUMBER):,})" if starts else ""),
        "steps": f"{budget.steps:,} a trial, evaluated {budget.evaluations} times; "
        f"{_range(planned.steps_at_least, planned.steps_at_most)} in all",
        "rungs": _rungs(study),
        "parallel": _parallel(planned),
        "shows": _shows(study, len(planned.rows) - 1, spread, wished),
        **_ablations(study, spread, wished),
        "select": study.selected_by
        + (", which uses target labels" if study.selector is None else "")
        + (", which picks checkpoints too" if study.checkpoint == SELECTED else ""),
        "recipe": _recipe(study.recipe),
    }


def _taken(study: Study, planned: Plan, offer: Offer | None, store: Store | None, elsewhere: bool) -> dict[str, str]:
    """What the trials take of machines, of a cluster or of this one; no time on machines that nobody has asked."""
    taken = {
        "slot": f"{study.budget.slot} a trial",
        "cost": f"{_rounded(planned.petaflops)} PFLOP of training at most, "
        f"{_duration(planned.hours)} on {planned.device}",
        **({} if elsewhere else {"time": _time(study, planned, offer, store)}),
        "disk": f"{_space(planned.kept_bytes)} for the checkpoints of the confirm trials, "
        f"{_space(planned.evidence_bytes)} at most for evidence, {_space(planned.running_bytes)} for each trial that "
        "runs"
        + (f", and {_space(planned.waiting_bytes)} at most for those that wait at rungs" * bool(planned.waiting_bytes)),
    }
    if offer is not None:
        taken["cluster"] = f"{offer}: {_trials_at_a_time(study, offer)}"
    if not elsewhere and (gpus := carried(planned.rows, offer, this_machine() if offer is None else offer)):
        taken["gpus"] = gpus
    return taken


def _rows(study: Study, planned: Plan) -> list[list[str]]:
    """The lines of each row: its trials, its settings, what it costs beside the reference."""
    blocks = []
    reference = next(each.estimate for each in planned.rows if each.row.name == study.reference).step_gflops
    for each in planned.rows:
        row = each.row
        title = row.name + (" (reference)" if row.name == study.reference else "")
        counts = f"{row.search_trials} search + {len(row.confirm_numbers)} confirm"
        title_lines = hanging(title, COLUMNS - len(counts) - 4, "  ", "  ")
        title_lines[0] = f"{padded(title_lines[0], COLUMNS - len(counts) - 2)}  {counts}"
        cost = _cost(each.estimate, 0.0 if row.name == study.reference else reference)
        blocks.append([*title_lines, *_fields(_settings(row) | {"cost": cost}, indent=6)])
    return blocks


def _cost(estimate: Estimate, reference: float) -> str:
    """What is deployed, what is only trained, and the operations of a step as a multiple of the reference's."""
    trained = f" + {count(estimate.discriminator_parameters)} only trained" if estimate.discriminator_parameters else ""
    relative = f", {estimate.step_gflops / reference:.1f} x the reference's operations a step" if reference else ""
    if not estimate.step_gflops:
        relative = ", nothing to train"
    return f"{count(estimate.deployed_parameters)} parameters deployed{trained}{relative}"


def _rungs(study: Study) -> str:
    if study.search is None or not any(row.search_trials for row in study.rows):
        return "none, nothing is searched"
    if not study.rungs:
        return f"none, no trial is stopped{_why_none(study, study.search)}"
    rungs = ", ".join(f"{rung:,}" for rung in study.rungs)
    if study.search.trials == 1:
        return f"{rungs}: a single trial passes them all"
    smoothing, reduction = study.search.smoothing, study.search.reduction
    compared = f"the mean of its last {smoothing} evaluations" if smoothing > 1 else "its last evaluation"
    warm_up = f"after a warm-up of {float(study.warm_up * study.budget.steps):,.0f} steps, " if study.warm_up else ""
    if study.search.promote:
        return f"{warm_up}{rungs}: a trial waits there until it is among the best 1 in {reduction}, by {compared}"
    return f"{warm_up}{rungs}: 1 trial in {reduction} of a row goes on, by {compared}"


def _why_none(study: Study, search: ASHA) -> str:
    """Why a search that was to stop trials does not."""
    if search.grace == 1:
        return ""
    reasons = [f"grace {search.grace:g}"]
    if search.smoothing > 1:
        reasons.append(f"the mean of {search.smoothing} evaluations")
    if study.warm_up:
        reasons.append(f"a warm-up of {float(study.warm_up * study.budget.steps):,.0f} steps")
    evaluations = study.budget.evaluations
    last = f"the last of {evaluations} evaluations" if evaluations > 1 else "the only evaluation"
    return f": there is no room for {' and '.join(reasons)} before {last}"


def _confirm_seeds(study: Study) -> str:
    race = "" if study.race_from is None else f"; rows race from {study.race_from} on, and may have no more"
    return "seed 1" if study.seeds == 1 else f"seeds 1 to {study.seeds}{race}"


def _range(least: int, most: int) -> str:
    return f"{most:,}" if least == most else f"{least:,} to {most:,}"


def _parallel(planned: Plan) -> str:
    """How many slots a study can fill."""
    parallel = sorted({row.under_way for row in planned.rows if row.under_way})
    if not parallel:
        return f"the trials fill {_slots(planned.confirming)} at most"
    number = _range(parallel[0], parallel[-1])
    search = f"{number} search trial{'s' * (number != '1')} of a row at a time, whatever the machines"
    return (
        f"{search}; the search fills {_slots(planned.searching)} at most, and the confirm trials {planned.confirming}"
    )


def _slots(number: int) -> str:
    return f"{number} slot{'s' * (number > 1)}"


def _idle(study: Study, planned: Plan, offer: Offer | None) -> list[str]:
    """What a cluster takes more than a study can fill."""
    taken, most = 0 if offer is None else min(_counts(study, offer)), planned.at_once
    if taken <= most:
        return []
    idle = f"the cluster takes {taken} trials at a time, and the study has {most} at most: {taken - most} slots wait"
    search = study.search
    more = "; a larger ASHA(parallel=...) fills more of them, and searches in another way"
    return [idle + more * (search is not None and search.at_a_time < search.trials)]


def _spread(study: Study, name: str, store: Store | None) -> Spread | None:
    """What earlier records say of differences between rows; None where there are none."""
    height, width = study.shift.size
    if store is None:
        return None
    return spread_on_record(store, name, study.shift.name, (height, width), study.budget.steps)


def _shows(study: Study, compared: int, spread: Spread | None, wished: Collection[float]) -> str:
    """The smallest difference to the reference that the seeds find, and how many seeds others take."""
    if not compared:
        return "one row, which is compared with nothing"
    if study.seeds < 2:
        return "no difference: one seed tells nothing from chance"
    deviation, by = ASSUMED_DEVIATION, f"{ASSUMED_DEVIATION:g}, taken for granted"
    if spread is not None:
        rows = f"{spread.rows} row{'s' * (spread.rows > 1)}"
        deviation, by = spread.deviation, f"{spread.deviation:.3f}, that of {rows} of {spread.study}"
    looks = len(study.looks)
    raced = f", of rows that have all seeds, each compared at {looks} looks," if looks > 1 else ""
    others = wishes(deviation, compared * looks, sorted(wished, reverse=True))
    return (
        f"a true difference in mIoU of {smallest_difference(deviation, study.seeds, compared * looks):.3f} to the "
        f"reference{raced} has a p of at most {LEVEL:g} four times out of five, and a mark less than half of the "
        f"time, of {compared} compared, with a standard deviation between seeds of {by}"
        + (f"; {others}" if others else "")
    )


def _ablations(study: Study, spread: Spread | None, wished: Collection[float]) -> dict[str, str]:
    """The designs of a study's ablations, and the smallest effects that its seeds find."""
    by_name = by_ablation((name, arm.cell) for name, arm in study.arms.items())
    deviation = ASSUMED_DEVIATION if spread is None else spread.deviation
    said = [_ablation(cells, study, deviation, wished) for cells in by_name.values()]
    return {"parts": "; ".join(said)} if said else {}


def _ablation(cells: Mapping[str, Cell], study: Study, deviation: float, wished: Collection[float]) -> str:
    one, found = next(iter(cells.values())), contrasts(cells)
    number = len(one.parts)
    rows = len(cells) - len(beside_one_way(cells))
    said = f"{one.ablation}: {one.design}, {number} part{'s' * (number > 1)} in {rows} rows"
    if any(contrast.aliases for contrast in found):
        fraction = resolution([has for _, has in cell.parts] for cell in cells.values())
        said += f", resolution {effects.NUMERALS[fraction or 0]}"
    if study.seeds < 2:
        return said
    # A path tests every part that each of its steps tries.
    compared = len(found) or number * (number + 1) // 2
    # The difference of two rows has twice the variance of one.
    noise = sum(weight**2 for weight in found[0].weights.values()) / 2 if found else 1.0
    deviation, tests = math.sqrt(noise) * deviation, compared * len(study.looks)
    others = wishes(deviation, tests, sorted(wished, reverse=True))
    return (
        f"{said}; an effect of {smallest_difference(deviation, study.seeds, tests):.3f} is found likewise, of "
        f"{compared}" + (f": {others}" if others else "")
    )


def _time(study: Study, planned: Plan, offer: Offer | None, store: Store | None) -> str:
    """How long a study takes, and what that is known from."""
    where = this_machine() if offer is None else offer
    slots = min(_counts(study, where))
    on_gpu = where.has_gpus and any(row.slot.gpus for row in study.rows)
    trials = [] if store is None else measured(store)
    machine = _machine(on_gpu, None if offer is None else trials)
    found = forecast(study, planned, [each for each in trials if each.machine == machine], max(1, slots), on_gpu)
    place, here = ("this machine", "here") if offer is None else ("the cluster", f"on {machine.device}")
    if not slots:
        return f"{place} holds no trial of every row"
    if any(row.slot.gpus for row in study.rows) and not where.has_gpus:
        place += ", which has no GPU"
    how = f"measured {here}" if found.measured else f"reckoned, as on {reckoned_device(on_gpu)}"
    about = "about" if study.race_from is None else "at most about"
    return f"{about} {_duration(found.seconds / 3600)} on {place}, {slots} trial{'s' * (slots > 1)} at a time: {how}"


def _machine(on_gpu: bool, trials: Sequence[Measured] | None) -> Machine:
    """The kind of machine that trains: this one, or where there are several, what such trials ran on last."""
    if trials is None:
        return Machine(gpu()) if on_gpu else Machine(CPU, processor())
    of_kind = [each.machine for each in trials if (each.machine.device != CPU) == on_gpu]
    return of_kind[-1] if of_kind else Machine("")


def _counts(study: Study, offer: Offer) -> list[int]:
    """How many trials run at a time where all are of one row, for each."""
    return [at_a_time(row.slot.resources(offer.has_gpus), offer.ever) for row in study.rows]


def _trials_at_a_time(study: Study, offer: Offer) -> str:
    """How many trials run at a time, where all are of one arm; the range over the arms."""
    counts = _counts(study, offer)
    fewest, most = min(counts), max(counts)
    number = str(most) if fewest == most else f"{fewest} to {most}, by their arm,"
    return f"{number} trial{'' if most == 1 else 's'} at a time" + ("" if offer.has_gpus else ", on CPUs")


def _settings(row: Row) -> dict[str, str]:
    """Ranges, then fixed fields, with the integers that they mean at the shift's size."""
    arm, settings = row.arm, dict[str, str]()
    if arm.follows:
        settings["after"] = arms_listed(arm.follows) + ": each trial begins from theirs of its seed"
    if row.lender is not None:
        settings["tuned"] = f"as {arms_listed([row.lender.name])}: {', '.join(row.dimensions)} by its search"
    for field, dimension in row.dimensions.items() if row.lender is None else ():
        bounds = sorted(dimension.integer.of(end) for end in dimension.range.ends()) if dimension.integer else []
        meaning = f", {dimension.integer.name} {bounds[0]} to {bounds[-1]}" if dimension.integer else ""
        settings[field] = f"{dimension.range}{meaning}"
    methods, _ = row.filled({})
    meanings = arm.resolved(methods.values, row.shift.size)
    # A field that acts through an integer is shown at its default too: what it means depends on the size.
    fixed = dict(arm.fields) | {field: methods.values[field] for field in meanings}
    for field in (field for field in fixed if field not in row.dimensions):
        meaning = "".join(f", {integer} {number}" for integer, number in meanings.get(field, {}).items())
        settings[field] = f"{fixed[field]}{meaning}"
    return settings | ({"slot": str(row.slot)} if arm.share else {})


def _recipe(recipe: Recipe) -> str:
    changed = [
        f"{entry.name}={value!r}" for entry in fields(recipe) if (value := getattr(recipe, entry.name)) != entry.default
    ]
    return ", ".join([*changed, "the rest at its defaults"]) if changed else "at its defaults"


def _fields(values: Mapping[str, str], indent: int) -> list[str]:
    """Names in a column, values wrapped beside them."""
    label = max((len(name) for name in values), default=0)
    lines = []
    for name, value in values.items():
        first = f"{'':{indent}}{name:<{label}}  "
        lines += hanging(value, COLUMNS, first, " " * len(first))
    return lines


def _rounded(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def _space(size: int) -> str:
    return f"{_rounded(size / 1e9)} GB" if size >= 1e9 else f"{_rounded(size / 1e6)} MB"


def _duration(hours: float) -> str:
    """In two digits: a plan is an estimate."""
    if hours >= 1:
        return f"{_rounded(hours)} h"
    return f"{_rounded(60 * hours)} min" if hours >= 1 / 60 else f"{_rounded(3600 * hours)} s"
