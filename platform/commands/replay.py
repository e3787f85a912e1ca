"""What other settings of early stopping would have made of a study: its recorded curves, replayed.

    python -m platform.replay results/fda_beta --grace 0.1 0.2 --reduction 2 3 --parallel 1 8 --both-rules

Every combination is replayed, and the study's own setting, by the function that searches: `platform.search.clock`.
Without `--grace` the first rung stays where the study had it. Each says how long the study would have taken on so many
slots, from the seconds that it recorded.

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
from platform.design.asha import ASHA, PARALLEL, exact, rungs
from platform.records.location import recorded
from platform.records.record import StudyHeader
from platform.records.store import Store
from platform.results.replay.curves import RecordedRow, recorded_row
from platform.results.replay.duration import duration
from platform.results.replay.replay import Effect, replay
from platform.running.interruption import spoken

NAME = 27
"""Width of a row's name."""
LEGEND = (
    "saved: share of the search's steps. regret: the selector of the best trial at full length minus that of the trial "
    "that would have been picked, mean over the rows and worst of them. lost: rows whose best trial would have been "
    "stopped. open: trials whose curves end too early, because the study stopped them where this setting lets them go "
    "on; the figures are then estimates: saved has two ends, and an open trial is never picked. Hours count what is on "
    "record, training and evaluations, and not the start of workers."
)
SLOTS = (1, 2, 4, 8)
"""Trials that machines train at a time, unless told otherwise."""


class Setting(NamedTuple):
    """How to stop early; without a grace the first rung is the study's."""

    grace: float | None
    reduction: int
    smoothing: int
    parallel: int
    promote: bool

    def of(self, trials: int) -> ASHA:
        """The setting of a row of so many trials."""
        return ASHA(
            trials=trials,
            reduction=self.reduction,
            smoothing=self.smoothing,
            parallel=min(self.parallel, trials),
            promote=self.promote,
        )


class Replayed(NamedTuple):
    """A setting, the rungs that it means, what it makes of each row, and the seconds that it takes by slots."""

    setting: Setting
    rungs: tuple[int, ...]
    outcomes: Mapping[str, Effect]
    seconds: Mapping[int, float]


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
    parser.add_argument("--parallel", type=int, nargs="+", default=[], help="trials of a row under way at a time")
    parser.add_argument("--both-rules", action="store_true", help="with ASHA(promote=True) and with promote=False")
    parser.add_argument(
        "--slots", type=int, nargs="+", default=SLOTS, help=f"trials at a time (default: {' '.join(map(str, SLOTS))})"
    )
    return parser


def _check(options: argparse.Namespace) -> None:
    """Refuse what a study would refuse, in the same words."""
    if (fewest := min(options.slots)) < 1:
        raise BadInput(f"--slots must be whole numbers of at least 1, got {fewest}")
    with bad_input():
        for name in ("grace", "reduction", "smoothing", "parallel"):
            for value in vars(options)[name]:
                if value is not None:
                    ASHA(trials=max(1, *options.parallel, 1), **{name: value})


def _study(store: Store, name: str, options: argparse.Namespace) -> str:
    """What is printed of one study."""
    journal = store.journal(name)
    header = journal.header
    if header is None:
        raise BadInput(f"the journal of {name} has lost its header; run the study again, which writes it")
    asks = [ask for ask in journal.asks if ask.phase == "search"]
    if not asks or not header.reduction:
        return f"{name}: nothing was searched"
    rows = {arm.name: recorded_row(store, journal, arm) for arm in header.arms}
    results = [
        _replayed(header, rows, asks[0].trial.evaluated_steps, each, options.slots)
        for each in _settings(header, options)
    ]
    number = sum(len(row.curves) for row in rows.values())
    title = f"{name}: {number} search trial{'s' * (number > 1)} by {header.select}"
    return "\n\n".join([_filled(title), _summary(results), *map(_block, results), _filled(LEGEND + _otherwise(header))])


def _otherwise(header: StudyHeader) -> str:
    """Why the study's own setting need not decide here as the study did; nothing where it does."""
    if header.compares:
        why = f"{header.select} compares trials: each is judged here by its last score"
    elif not header.parallel:
        why = "an earlier version searched this study, in which the order of reports in time decided"
    else:
        return ""
    return f" What the study's own setting does here need not be what the study did: {why}."


def _replayed(
    header: StudyHeader,
    rows: Mapping[str, RecordedRow],
    steps: tuple[int, ...],
    setting: Setting,
    slots: Sequence[int],
) -> Replayed:
    at = header.rungs if setting == _own(header) else _rungs(header, steps, setting)
    own = {name: setting.of(max(1, len(row.curves))) for name, row in rows.items()}
    outcomes = {name: replay(row.curves, steps, at, own[name]) for name, row in rows.items() if row.curves}
    seconds = {
        number: duration({name: row.again(steps, at, own[name]) for name, row in rows.items()}, number)
        for number in slots
    }
    return Replayed(setting, at, outcomes, seconds)


def _own(header: StudyHeader) -> Setting:
    """What the study searched by."""
    return Setting(None, header.reduction, header.smoothing, header.parallel or PARALLEL, header.promote)


def _settings(header: StudyHeader, options: argparse.Namespace) -> list[Setting]:
    """The study's own setting, then every combination of those asked for."""
    own = _own(header)
    combinations = itertools.product(
        options.grace,
        options.reduction or [own.reduction],
        options.smoothing or [own.smoothing],
        options.parallel or [own.parallel],
        [True, False] if options.both_rules else [own.promote],
    )
    return list(dict.fromkeys([own, *itertools.starmap(Setting, combinations)]))


def _rungs(header: StudyHeader, evaluated_steps: tuple[int, ...], setting: Setting) -> tuple[int, ...]:
    warm_up = max(exact(arm.warm_up) for arm in header.arms)
    if setting.grace is not None:
        grace = exact(setting.grace)
    elif header.rungs:
        grace = Fraction(header.rungs[0], header.steps) - warm_up
    else:
        raise BadInput(f"{header.name} had no rung that others could begin at; give --grace")
    return rungs(evaluated_steps, warm_up, grace, setting.reduction, setting.smoothing)


def _summary(results: Sequence[Replayed]) -> str:
    """A line per setting."""
    lines = ["grace one in mean of at once    rule    saved stopped  regret   worst  lost open"]
    for setting, _, outcomes, _ in results:
        every = list(outcomes.values())
        known = [outcome.regret for outcome in every if outcome.regret is not None]
        lost, won = (sum(outcome.winner_stopped is answer for outcome in every) for answer in (True, False))
        lines.append(
            f"{_grace(setting):>5}{setting.reduction:>7}{setting.smoothing:>8}{setting.parallel:>8}{_rule(setting):>8}"
            f"{_saved(every):>9}{_stopped(every):>8}{_number(statistics.fmean(known) if known else None):>8}"
            f"{_number(max(known, default=None)):>8}{f'{lost}/{lost + won}':>6}{_open(every):>5}"
        )
    return "\n".join(lines)


def _block(result: Replayed) -> str:
    """A line per row of a setting, and how long the study would have taken."""
    setting, judged_at, outcomes, seconds = result
    at = ", ".join(f"{rung:,}" for rung in judged_at) or "none"
    title = (
        f"grace {_grace(setting)}, one in {setting.reduction}, mean of {setting.smoothing}, {setting.parallel} at once"
        f"{', promoted' if setting.promote else ''}: rungs {at}"
    )
    lines = [_filled(title), f"{'':29}       saved  stopped   regret  best trial  open"]
    for row, outcome in outcomes.items():
        best = {None: "none", True: "stopped", False: "kept"}[outcome.winner_stopped]
        name = row if len(row) <= NAME else f"{row[: NAME - 1]}…"
        lines.append(
            f"  {name:<{NAME}}{_saved([outcome]):>12}{_stopped([outcome]):>9}{_number(outcome.regret):>9}"
            f"{best:>12}{_open([outcome]):>6}"
        )
    times = [f"{spoken(taken)} on {slots}" for slots, taken in seconds.items()]
    return "\n".join([*lines, _filled(f"the whole study, by slots: {', '.join(times)}")])


def _rule(setting: Setting) -> str:
    return "promote" if setting.promote else "stop"


def _grace(setting: Setting) -> str:
    return "own" if setting.grace is None else f"{setting.grace:g}"


def _saved(outcomes: Sequence[Effect]) -> str:
    full = sum(outcome.full_steps for outcome in outcomes)
    if not full:
        return "-"
    steps = (sum(outcome.most_steps for outcome in outcomes), sum(outcome.least_steps for outcome in outcomes))
    return f"{'-'.join(dict.fromkeys(f'{100 * (full - taken) / full:.0f}' for taken in steps))} %"


def _stopped(outcomes: Sequence[Effect]) -> str:
    return f"{sum(len(outcome.stopped) for outcome in outcomes)}/{sum(outcome.trials for outcome in outcomes)}"


def _open(outcomes: Sequence[Effect]) -> int:
    return sum(len(outcome.open) for outcome in outcomes)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _filled(text: str) -> str:
    return textwrap.fill(text, COLUMNS)
