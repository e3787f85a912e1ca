"""The NeurIPS paper checklist (neurips.cc/public/guides/PaperChecklist, 2025's 16 questions), from records.

Answers are yes, no or n/a, each with a sentence that may be pasted; what a study cannot know is left to its authors.
"""

import math

from platform.records.plain import listed
from platform.results.ablation.effects import ablations
from platform.results.report.sections import differences, effects
from platform.results.report.wording import level, searches, seeds
from platform.results.statistics.power import POWER
from platform.results.statistics.significance import LEVEL
from platform.results.submission.answers import Answer, Section
from platform.results.submission.compute_form import hours, threads
from platform.results.submission.data import NOT_SAID, licences
from platform.results.submission.facts import Facts


def checklist(known: Facts) -> list[Section]:
    """The sixteen questions, in their order."""
    answers = [
        Answer("1 Claims", hint="do abstract and introduction claim what the table shows, and no more"),
        Answer(
            "2 Limitations",
            "",
            f"one shift, one network per row, {seeds(known.table)}; say what that leaves open",
        ),
        Answer("3 Theory, assumptions and proofs", hint="n/a unless the paper has theorems"),
        Answer("4 Experimental result reproducibility", _reproducible(known)),
        Answer(
            "5 Open access to data and code", hint="the code's licence is MIT; data are got from where question 12 says"
        ),
        Answer("6 Experimental setting and details", _setting(known)),
        Answer("7 Experiment statistical significance", _significance(known)),
        Answer("8 Experiments compute resources", _compute(known)),
        Answer("9 Code of ethics", hint="read it: neurips.cc/public/EthicsGuidelines"),
        Answer("10 Broader impacts", hint="street scenes: driving, and watching streets"),
        Answer("11 Safeguards", hint="n/a unless weights or data of high risk for misuse are released"),
        Answer("12 Licenses for existing assets", *_licences(known)),
        Answer(
            "13 New assets", hint="n/a unless the paper releases code, data or weights; this kit documents the records"
        ),
        Answer("14 Crowdsourcing and research with human subjects", hint="n/a unless people took part"),
        Answer("15 Institutional review board approvals", hint="n/a unless people took part"),
        Answer("16 Declaration of LLM usage", hint="where a language model is part of the method"),
    ]
    return [Section("NeurIPS paper checklist", answers)]


def _reproducible(known: Facts) -> str:
    return (
        "Yes. The study file, its environment, the commit and the record of every trial are supplied; a trial's "
        "identifier is a hash of all that decides its numbers, seeds are fixed, and the table is computed from the "
        "records by one command."
    )


def _setting(known: Facts) -> str:
    header = known.header
    batch = f", batch {' or '.join(map(str, known.batches))} of each domain" if known.batches else ""
    tuned = (
        f"{header.search_trials} search trials for each row with ranges, the published default first"
        if any(arm.search_trials for arm in header.arms)
        else "no search: values are those of the study file or published defaults"
    )
    return (
        f"Yes. {header.steps:,} optimiser steps a run{batch}; splits as the shift names them, test labels read for the "
        f"table alone; {tuned}; selected by {header.select}{_oracle(known)}. Ranges, chosen values and "
        "what each row was given are in table.md, every hyperparameter in records.parquet."
    )


def _oracle(known: Facts) -> str:
    if known.table.selected_by_oracle:
        return ", which uses target labels"
    bounds = sorted({row.selected_by for row in known.table.rows if row.supervised})
    return ", without target labels" + (f" but for the upper bound, picked by {listed(bounds)}" if bounds else "")


def _significance(known: Facts) -> str:
    if known.header.seeds < 2:
        return "No. A single seed gives no interval."
    short = f" Rows with fewer seeds: {', '.join(known.missing)}." if known.missing else ""
    return (
        f"Yes. Error bars are half-widths of {level(known.header.times_looked)} Student-t intervals over "
        f"{seeds(known.table)}, t times the sample standard deviation over the square root of their number, which "
        "assumes normally distributed scores; "
        f"they cover initial weights, order of data and augmentation, on one split{_of_the_search(known)}. "
        "Differences are paired by seed. "
        f"Confirm seeds are {_seeds(known)}, which no search used.{short}{_race(known)}{_marks(known)}{_parts(known)}"
    )


def _of_the_search(known: Facts) -> str:
    return ", and not which values another search would have chosen" if searches(known.header) else ""


def _race(known: Facts) -> str:
    """How a race decided who has more seeds."""
    told = differences.of_the_race(known.table)
    return f" {told}" if told else ""


def _marks(known: Facts) -> str:
    """Which differences the table marks."""
    able = known.table.detectable
    if math.isnan(able.difference):
        return ""
    return (
        " A difference is marked where the p-value of a paired t-test, adjusted by Holm's method for "
        f"{able.comparisons} rows, is at most {LEVEL:g}, and it is {able.difference:.3f} or more, which {able.seeds} "
        f"seeds find with {POWER:.0%} power."
    )


def _parts(known: Facts) -> str:
    """Which effects of an ablation's parts are marked."""
    found = [each for each in ablations(known.table) if effects.has_intervals(each)]
    return "".join(
        f" Effects of parts of {each.name} are differences within seeds, and marked {effects.told(each)}."
        for each in found
    )


def _seeds(known: Facts) -> str:
    found = sorted({run.ask.trial.seed for runs in known.table.runs.values() for run in runs.confirm})
    return ", ".join(map(str, found)) or "not drawn yet"


def _compute(known: Facts) -> str:
    machines = "; ".join([*known.gpus, *known.machines]) or "not on record"
    each = "; ".join(f"{result.row.arm} {hours(result.one)}" for result in known.results if result.row.scores.seeds)
    taken = known.spent
    return (
        f"Yes. Compute workers: {machines}; {threads(known)}. Hours of one result: "
        f"{each or 'none has ended'}. In total {hours(taken.total)} of {known.trials} trials, of these search "
        f"{hours(taken.search)}, reported runs {hours(taken.confirm)}, failed trials {hours(taken.failed)} "
        f"({known.failed} trials). Studies before this one are not among them."
    )


def _licences(known: Facts) -> tuple[str, str, str]:
    named = licences(known.header)
    said = [f"{name}: {terms}" for name, terms in named.items() if terms != NOT_SAID]
    unsaid = [name for name, terms in named.items() if terms == NOT_SAID]
    hint = f"the terms of {' and '.join(unsaid)} are {NOT_SAID}" if unsaid else ""
    weights = "ImageNet weights, where a network begins from them, have terms of their own"
    return (f"Yes. {'; '.join(said)}. {weights}", hint, hint) if said else ("", hint, "")
