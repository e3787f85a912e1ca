"""The table's numbers and caveats in words, the same in every format: plain text, which formats escape."""

import math
from collections.abc import Callable

from platform.records.plain import listed
from platform.records.record import StudyHeader
from platform.results.lines import NONE, arms_listed, count
from platform.results.statistics.significance import LEVEL
from platform.results.table import Row, Table
from platform.scores.metrics import LEFT_OUT
from platform.training.device.latency import TIMED, WARM_UP

FEW = 3
"""Rows that a sentence names."""
PUBLISHED = (
    "the network's as published, parts among them that are not deployed, such as auxiliary classifiers: a plan counts "
    "what is deployed"
)
"""What parameters and GFLOPs of a row are."""
TOLD = (
    f"where p, adjusted by Holm's method for all rows, is at most {LEVEL:g}, and the difference one that so many seeds "
    "can find"
)
"""What the mark at a difference means."""


def name(row: Row) -> str:
    """The arm's name, marked where it is an upper bound."""
    return marked(row.arm, row.supervised)


def marked(arm: str, supervised: bool) -> str:
    """A name, marked where it is that of an upper bound."""
    return f"{arm} †" if supervised else arm


def number(value: float, form: str) -> str:
    """A number in Python's format, a dash where there is none."""
    return NONE if math.isnan(value) else format(value, form)


def plus_minus(mean: float, half_width: float, sign: str = "") -> str:
    """`0.352 ± 0.010`, or the mean alone where one run says nothing about its spread."""
    spread = "" if math.isnan(half_width) else f" ± {half_width:.3f}"
    return number(mean, f"{sign}.3f") + spread


def miou(row: Row) -> str:
    """The row's score, or that it has none because its trials failed."""
    return "all failed" if row.troubles.failure else plus_minus(row.scores.miou, row.scores.miou_ci)


def delta(
    row: Row, table: Table, emphasise: Callable[[str], str], escape: Callable[[str], str] = lambda text: text
) -> str:
    """The difference to the reference, emphasised only where it is told from chance."""
    if row.arm == table.header.reference:
        return "reference"
    difference = row.comparison.to_reference
    text = escape(plus_minus(difference.miou, difference.miou_ci, "+"))
    return emphasise(text) if difference.told else text


def trained_only(cost: str) -> str:
    """What is only trained adds to a cost, empty where nothing is."""
    return f" + {cost}" if cost.strip("0.") else ""


def parameters(row: Row) -> str:
    """The network's parameters, plus those of what is only trained."""
    return count(row.cost.parameters) + trained_only(count(row.cost.discriminator_parameters))


def gflops(row: Row) -> str:
    """The network's GFLOPs, plus those of what is only trained."""
    return f"{row.cost.gflops:.4g}" + trained_only(f"{row.cost.discriminator_gflops:.4g}")


def latency(row: Row) -> str:
    """Milliseconds for one image: two digits, which is what a machine that does something else as well gives again."""
    milliseconds = row.latency.milliseconds
    return number(milliseconds, ".1f" if milliseconds < 9.95 else ".0f")


def latency_of(table: Table) -> str:
    """What the milliseconds are."""
    height, width = table.header.shift["size"]
    devices = sorted({device for row in table.rows for device in row.latency.timed_on})
    on = f", on {'; '.join(devices)}" if devices else ""
    return (
        f"ms: from one image of {height} x {width} to the class of each pixel, by what is deployed{on}: the median of "
        f"{TIMED} after {WARM_UP} of warm-up, beside whatever else ran, and of all runs that deploy the same network."
    )


def reasons(table: Table) -> list[str]:
    """What went wrong with trials, arm by arm, each reason once with a trial's id."""
    return [f"{row.arm}: {reason}" for row in table.rows for reason in row.troubles.reasons]


def reading(table: Table) -> list[str]:
    """What a reader must know to believe the numbers, one sentence or two each."""
    header = table.header
    height, width = header.shift["size"]
    search = f"for an arm with ranges, {header.search_trials} search trials, the published default first"
    if not searches(header):
        search = "no arm has ranges, so that nothing is searched"
    return [
        f"{interval(table)} Only confirm runs count: the chosen configuration, all steps, on seeds that the search "
        "never used.",
        f"Δ is the difference in mIoU to {header.reference}, paired by seed; bold {TOLD}.",
        f"Scores are those of the target's test split ({header.shift['name']}), by the Cityscapes convention: one "
        f"confusion matrix over the split, at the ground truth's resolution, void left out; mean over "
        f"{classes(table)}. Networks see images of {height} x {width}.",
        f"Budget: {header.steps:,} steps a run; {search}. Selected by {header.select}.",
        *early_stopping(table),
        f"Parameters and GFLOPs (2 x multiply-accumulate, at 512 x 1024) are {PUBLISHED}; after the plus, those of "
        "what is only trained and never deployed: discriminators, teachers.",
        latency_of(table),
        *beginnings(table),
    ]


CHECKPOINTS = ("last", "selected", "best")


def mious_of_checkpoints(row: Row) -> tuple[str, ...]:
    """mIoU of the last, the selected and the best checkpoint."""
    return tuple(number(value, ".3f") for value in vars(row.checkpoints).values())


def checkpoints(table: Table) -> str:
    """Which checkpoint the scores are of, and what the others are."""
    select = table.header.select
    by = f"by none, since {select} compares trials of one step" if table.header.compares else f"by {select}, run by run"
    return (
        f"mIoU on the test split, mean over seeds: scores above are those of the {table.header.checkpoint} checkpoint. "
        f"Selected: {by}{_besides(table)}. Best: by the test labels, as where papers pick on what they report; nobody "
        "may."
    )


def _besides(table: Table) -> str:
    selectors = sorted({row.selected_by for row in table.rows if row.supervised} - {table.header.select})
    return f" († by {' and '.join(selectors)})" if selectors else ""


def numbers_of_classes() -> str:
    """Which classes papers take the mean over, and what becomes of pixels of the others."""
    of_synthia, of_more = LEFT_OUT[16], [name for name in LEFT_OUT[13] if name not in LEFT_OUT[16]]
    return (
        f"All three are means of the IoUs below: over Cityscapes' classes, over those but for {listed(of_synthia)}, "
        f"which SYNTHIA does not label, and over those but for {listed(of_more)} as well. As papers have it, a pixel "
        "of a class that is left out still counts against the class that it is taken for, and one that is taken for "
        f"such a class is a miss. {NONE} where the ground truth does not tell the classes apart."
    )


def early_stopping(table: Table) -> list[str]:
    """How rungs judge search trials; nothing where none are judged."""
    header = table.header
    if not header.rungs or not searches(header):
        return []
    rungs = " and ".join(f"{rung:,}" for rung in header.rungs)
    value = f"the selector's mean over its last {header.smoothing} evaluations"
    if header.smoothing == 1:
        value = "the selector at its last evaluation"
    best = f"{value} is among the best 1/{header.reduction} of its arm's trials there"
    if header.promote:
        return [f"Search trials are judged after {rungs} steps: one waits there until {best}."]
    return [f"Search trials are judged after {rungs} steps: one goes on if {best} so far."]


def beginnings(table: Table) -> list[str]:
    """What rows know or begin from that others do not: the dagger's meaning, labels, other rows' runs."""
    selectors = sorted({row.selected_by for row in table.rows if row.supervised})
    bounds = [f"† trains on target labels and is picked by {selector}: an upper bound." for selector in selectors]
    for arm in table.header.arms:
        if arm.after:
            bounds.append(f"{arm.name} begins from the runs of {arms_listed(arm.after)}, seed by seed.")
        if arm.recalibrated:
            bounds.append(f"{arm.name} normalises by statistics of the target's images.")
        if arm.few:
            bounds.append(f"{arm.name} trains on the labels of {arm.few} target images.")
    lenders = dict.fromkeys(arm.tuned_as for arm in table.header.arms if arm.tuned_as)
    return [*bounds, *(_taken(lender, table) for lender in lenders)]


def _taken(lender: str, table: Table) -> str:
    """Which rows are tuned as another."""
    names = [arm.name for arm in table.header.arms if arm.tuned_as == lender]
    shown = names if len(names) <= FEW else [*names[: FEW - 1], f"{len(names) - FEW + 1} more rows"]
    take = "take" if len(names) > 1 else "takes"
    return f"{arms_listed(shown)} {take} the values that the search of {arms_listed([lender])} has chosen."


def shared_hours(table: Table) -> list[str]:
    """Whose hours stand behind a row; nothing where all are of its own trials."""
    if not any(arm.after or arm.tuned_as for arm in table.header.arms):
        return []
    return ["hours: of all trials that a row's scores rest on, those of rows that it begins from or is tuned as too."]


def searches(header: StudyHeader) -> bool:
    """Whether any arm has ranges."""
    return any(arm.searched for arm in header.arms)


def interval(table: Table) -> str:
    """What the half-widths are."""
    if table.header.seeds == 1:
        return "A single seed has no interval: do not rank these rows."
    fewer = ", fewer where a row says so" if any(row.troubles.seeds_missing for row in table.rows) else ""
    chance = " It covers seeds, not that another search might have chosen other values." * searches(table.header)
    half_width = f"the half-width of the {level(table.header.times_looked)} Student-t interval"
    return f"± is {half_width} over {seeds(table)}{fewer}.{chance}"


def seeds(table: Table) -> str:
    """How many seeds rows have: `5 seeds`, `3 to 12 seeds`."""
    numbers = sorted({runs.seeds for runs in table.runs.values()} or {table.header.seeds})
    named = f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else str(numbers[0])
    return f"{named} seed{'s' * (numbers[-1] > 1)}"


def level(looks: int) -> str:
    """What an interval holds at the last of so many looks, all of which together hold 95 %: `98.3 %`."""
    return f"{100 - 100 * LEVEL / looks:.3g} %"


def classes(table: Table) -> str:
    """Which classes the mean is over."""
    if not table.absent:
        return f"all {len(table.groups)} classes"
    absent = ", ".join(table.absent)
    return f"{len(table.groups)} classes; the test split never holds {absent}: 0 where a run predicts it, else left out"


def oracle_warning(table: Table) -> str:
    """What must not be overlooked where target labels chose."""
    return f"ORACLE SELECTION: {table.header.select} chose every row's configuration with target labels."
