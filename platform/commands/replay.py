"""What other settings of early stopping would have made of a study: its recorded curves, replayed.

    python -m platform.replay results/fda_beta --grace 0.1 0.2 --reduction 2 3 --smoothing 1 3

Every combination is replayed, and the study's own setting. Without `--grace` the first rung stays where the study had
it. The trials of a row are taken in the order in which the study asked for them, `--slots` at a time; in turn each
advances to its next evaluation, is judged there if that is a rung, and makes room for the next trial when it ends.

A trial that the study stopped has a curve only up to there. Where another setting lets it go on, it is *open*: it may
have been stopped right there or have gone on to its last step, which gives the two ends of what is saved; it is never
picked, and compared at no later rung. Figures with open trials are estimates, and say so.
"""

import argparse
import itertools
import statistics
import textwrap
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from platform.commands.exits import COMPLETE, EPILOG, BadInput, Parser, bad_input, ending, say
from platform.commands.terminal.screen import COLUMNS
from platform.commands.terminal.text import damage_notes
from platform.design.asha import ASHA, exact, rungs
from platform.records.location import recorded
from platform.records.record import Ask, Journal, StudyHeader
from platform.records.store import Store
from platform.results.replay import SLOTS, Curve, Outcome, replay

NAME = 27
"""Width of a row's name."""
LEGEND = (
    "saved: share of the search's steps. regret: the selector of the best trial at full length minus that of the trial "
    "that would have been picked, mean over the rows and worst of them. lost: rows whose best trial would have been "
    "stopped. open: trials whose curves end too early, because the study stopped them where this setting lets them go "
    "on; the figures are then estimates: saved has two ends, and an open trial is never picked."
)


class Setting(NamedTuple):
    """How to stop early; without a grace the first rung is the study's."""

    grace: float | None
    reduction: int
    smoothing: int


class Replayed(NamedTuple):
    """A setting, the rungs that it means, and what it makes of each row."""

    setting: Setting
    rungs: tuple[int, ...]
    outcomes: Mapping[str, Outcome]


@ending()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    _check(options)
    with bad_input():
        store, names = recorded(options.results)
    for name in names:
        print(_study(store, name, options), end="\n\n")
    for note in damage_notes(store.damages):
        say(note)
    return COMPLETE


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m platform.replay",
        description="Replay the recorded searches of a study under other settings of early stopping.",
        epilog=f"exit codes: 0 done, {EPILOG}",
    )
    parser.add_argument("results", type=Path, metavar="RESULTS", help="results/<study>, or a results folder for all")
    parser.add_argument(
        "--grace", type=float, nargs="+", default=[None], help="fractions of the steps (default: the same first rung)"
    )
    parser.add_argument("--reduction", type=int, nargs="+", default=[], help="one in so many trials goes on")
    parser.add_argument("--smoothing", type=int, nargs="+", default=[], help="evaluations whose mean is compared")
    parser.add_argument("--slots", type=int, default=SLOTS, help=f"trials of a row at a time (default: {SLOTS})")
    return parser


def _check(options: argparse.Namespace) -> None:
    """Refuse what a study would refuse, in the same words."""
    if options.slots < 1:
        raise BadInput(f"--slots must be a whole number of at least 1, got {options.slots}")
    given = [("grace", options.grace), ("reduction", options.reduction), ("smoothing", options.smoothing)]
    with bad_input():
        for name, value in ((name, value) for name, values in given for value in values if value is not None):
            ASHA(trials=1, **{name: value})


def _study(store: Store, name: str, options: argparse.Namespace) -> str:
    """What is printed of one study."""
    journal = store.journal(name)
    header = journal.header
    if header is None:
        raise BadInput(f"the journal of {name} has lost its header; run the study again, which writes it")
    asks = [ask for ask in journal.asks if ask.phase == "search"]
    if not asks or not header.reduction:
        return f"{name}: nothing was searched"
    rows = {
        arm.name: [_curve(store, ask, arm.select, journal) for ask in asks if ask.arm == arm.name]
        for arm in header.arms
    }
    own = Setting(None, header.reduction, header.smoothing)
    results = []
    for setting in _settings(own, options):
        steps = asks[0].trial.evaluated_steps
        at = header.rungs if setting == own else _rungs(header, asks, setting)
        outcomes = {
            row: replay(curves, steps, at, setting.reduction, setting.smoothing, options.slots)
            for row, curves in rows.items()
            if curves
        }
        results.append(Replayed(setting, at, outcomes))
    title = f"{name}: {len(asks)} search trials by {header.select}, {options.slots} of a row at a time"
    return "\n\n".join([_filled(title), _summary(results), *map(_block, results), _filled(LEGEND)])


def _curve(store: Store, ask: Ask, select: str, journal: Journal) -> Curve:
    """All that is on record: another study may have let a trial go on where this one stopped it."""
    record = store.read(ask.trial.id)
    if record is None:
        return Curve(())
    record = journal.scored(record, ask.arm)
    end = journal.ends.get(ask.key, record.end)
    failed = end is not None and end.state == "failed" and not end.retry
    reports = [report for report in record.reports if not (failed and end is not None and report.step > end.step)]
    judged = itertools.takewhile(lambda report: select in report.metrics, reports)
    return Curve(tuple(report.metrics[select] for report in judged), failed)


def _settings(own: Setting, options: argparse.Namespace) -> list[Setting]:
    """The study's own setting, then every combination of those asked for."""
    reductions, smoothings = options.reduction or [own.reduction], options.smoothing or [own.smoothing]
    combinations = itertools.starmap(Setting, itertools.product(options.grace, reductions, smoothings))
    return list(dict.fromkeys([own, *combinations]))


def _rungs(header: StudyHeader, asks: Sequence[Ask], setting: Setting) -> tuple[int, ...]:
    warm_up = max(exact(arm.warm_up) for arm in header.arms)
    if setting.grace is not None:
        grace = exact(setting.grace)
    elif header.rungs:
        grace = Fraction(header.rungs[0], header.steps) - warm_up
    else:
        raise BadInput(f"{header.name} had no rung that others could begin at; give --grace")
    return rungs(asks[0].trial.evaluated_steps, warm_up, grace, setting.reduction, setting.smoothing)


def _summary(results: Sequence[Replayed]) -> str:
    """A line per setting."""
    lines = ["  grace  one in  mean of       saved  stopped   regret    worst    lost  open"]
    for setting, _, outcomes in results:
        every = list(outcomes.values())
        known = [outcome.regret for outcome in every if outcome.regret is not None]
        lost, won = (sum(outcome.winner_stopped is answer for outcome in every) for answer in (True, False))
        lines.append(
            f"{_grace(setting):>7}{setting.reduction:>8}{setting.smoothing:>9}{_saved(every):>12}"
            f"{_stopped(every):>9}{_number(statistics.fmean(known) if known else None):>9}"
            f"{_number(max(known, default=None)):>9}{f'{lost}/{lost + won}':>8}{_open(every):>6}"
        )
    return "\n".join(lines)


def _block(result: Replayed) -> str:
    """A line per row of a setting."""
    setting, judged_at, outcomes = result
    at = ", ".join(f"{rung:,}" for rung in judged_at) or "none"
    title = f"grace {_grace(setting)}, one in {setting.reduction}, mean of {setting.smoothing}: rungs {at}"
    lines = [_filled(title), f"{'':29}       saved  stopped   regret  best trial  open"]
    for row, outcome in outcomes.items():
        best = {None: "none", True: "stopped", False: "kept"}[outcome.winner_stopped]
        name = row if len(row) <= NAME else f"{row[: NAME - 1]}…"
        lines.append(
            f"  {name:<{NAME}}{_saved([outcome]):>12}{_stopped([outcome]):>9}{_number(outcome.regret):>9}"
            f"{best:>12}{_open([outcome]):>6}"
        )
    return "\n".join(lines)


def _grace(setting: Setting) -> str:
    return "own" if setting.grace is None else f"{setting.grace:g}"


def _saved(outcomes: Sequence[Outcome]) -> str:
    full = sum(outcome.full_steps for outcome in outcomes)
    if not full:
        return "-"
    steps = (sum(outcome.most_steps for outcome in outcomes), sum(outcome.least_steps for outcome in outcomes))
    return f"{'-'.join(dict.fromkeys(f'{100 * (full - taken) / full:.0f}' for taken in steps))} %"


def _stopped(outcomes: Sequence[Outcome]) -> str:
    return f"{sum(len(outcome.stopped) for outcome in outcomes)}/{sum(outcome.trials for outcome in outcomes)}"


def _open(outcomes: Sequence[Outcome]) -> int:
    return sum(len(outcome.open) for outcome in outcomes)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _filled(text: str) -> str:
    return textwrap.fill(text, COLUMNS)
