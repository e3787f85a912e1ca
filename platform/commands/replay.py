"""What other settings of early stopping would have made of a study: its recorded curves, replayed.

    python -m platform.replay results/fda_beta --grace 0.1 0.2 --reduction 2 3 --parallel 1 8 --promote yes no

Every combination is replayed, and the study's own setting, by the function that searches: `platform.search.clock`.
Without `--grace` rungs stay where the study had them; with another reduction or smoothing, the first of them. Each says
how long the study would have taken on so many slots, from the seconds that it recorded.

A trial that the study stopped has a curve only up to there. Where another setting lets it go on, it is *open*: it may
have been stopped right there or have gone on to its last step, which gives two ends of what is saved and of the time;
it is never picked, and compared at no later rung. Figures with open trials are estimates, and say so.
"""

import argparse
import itertools
import statistics
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from platform.commands.exits import COMPLETE, EPILOG, BadInput, Parser, bad_input, ending, say
from platform.commands.terminal.screen import COLUMNS
from platform.commands.terminal.text import ARM_COLUMNS, damage_notes, short
from platform.design.asha import ASHA, PARALLEL, exact, rungs
from platform.records.location import on_record, recorded
from platform.records.record import StudyHeader
from platform.records.store import Store
from platform.results.lines import broken, hanging, padded
from platform.results.replay.curves import RecordedRow, recorded_row
from platform.results.replay.duration import duration
from platform.results.replay.replay import Effect, replay

LEGEND = (
    "saved: share of the search's steps. whole: trials with whole curves, which alone regret, best and lost compare. "
    "regret: the selector of the best trial at full length minus that of the trial that would have been picked, mean "
    "over the rows that have one and worst of them; a dash where trials were stopped and fewer than two curves are "
    "whole, or the picked trial's is not. lost: rows whose best trial would have been stopped. open: trials whose "
    "curves end too early, because the study stopped them where this setting lets them go on; figures are then "
    "estimates: saved and time have two ends, and an open trial is never picked. Time is what is on record, training "
    "and evaluations, without the start of workers. Settings that mean the same have one line, parallel being at most "
    "a row's trials."
)
SLOTS = (1, 2, 4, 8)
"""Trials that machines train at a time, unless told otherwise."""
SLOTS_A_LINE = 4
"""Columns of times that a line has room for."""
UNITS = {"s": 1, "min": 60}
LONGEST = 120
"""How many of them are said before the next one."""
HEADS = "grace 1 in mean parallel promote"
"""Above the columns of a setting."""
YES_OR_NO = {True: "yes", False: "no"}


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


_Rungs = tuple[int, int, tuple[int, ...]]
"""How many go on, of how many evaluations the mean is compared, and where."""


class Replayed(NamedTuple):
    """A setting, the rungs that it means, what it makes of each row, and the seconds that it takes by slots."""

    setting: Setting
    rungs: tuple[int, ...]
    outcomes: Mapping[str, Effect]
    seconds: Mapping[int, tuple[float, float]]
    """The ends between which it takes, as open trials end where their curves do or go on to their last steps."""


@ending()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    _check(options)
    with bad_input():
        store, names = recorded(options.results)
    refusals, printed = list[str](), 0
    for name in names:
        try:
            text = _study(store, name, options)
        except BadInput as refusal:
            refusals.append(str(refusal))
            continue
        print(text if printed else f"{_filled(LEGEND)}\n\n{text}", end="\n\n")
        printed += 1
    if not printed:
        raise BadInput(refusals[0])
    for said in refusals:
        say(f"note: {said}")
    for note in damage_notes(store.damages):
        say(note)
    return COMPLETE


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m platform.replay",
        usage="%(prog)s RESULTS [--grace 0.1 0.2 ...] [--promote yes no] ...",
        description="Replay the recorded searches of a study under other settings of early stopping, every combination "
        "of the values given. Each option takes several, so that RESULTS come first.",
        epilog=f"exit codes: 0 done, {EPILOG}",
    )
    parser.add_argument("results", metavar="RESULTS", help="results/<study>, or a results folder for all")
    parser.add_argument(
        "--grace", type=float, nargs="+", default=[None], help="fractions of the steps (default: the same first rung)"
    )
    parser.add_argument("--reduction", type=int, nargs="+", default=[], help="one in so many trials goes on")
    parser.add_argument("--smoothing", type=int, nargs="+", default=[], help="evaluations whose mean is compared")
    parser.add_argument("--parallel", type=int, nargs="+", default=[], help="trials of a row that are under way")
    parser.add_argument("--promote", choices=("yes", "no"), nargs="+", default=[], help="whether trials wait at rungs")
    parser.add_argument(
        "--slots", type=int, nargs="+", default=SLOTS, help=f"trials at a time (default: {' '.join(map(str, SLOTS))})"
    )
    return parser


def _check(options: argparse.Namespace) -> None:
    """Refuse what a study would refuse, in the same words."""
    if (fewest := min(options.slots)) < 1:
        raise BadInput(f"--slots must be whole numbers of at least 1, got {fewest}")
    for name in ("grace", "reduction", "smoothing", "parallel"):
        for value in (value for value in vars(options)[name] if value is not None):
            try:
                ASHA(trials=max([1, *options.parallel]), **{name: value})
            except ValueError as error:
                raise BadInput(str(error).replace("ASHA.", "--")) from error


def _study(store: Store, name: str, options: argparse.Namespace) -> str:
    """What is printed of one study."""
    with bad_input():
        header, journal = on_record(store, name)
    rows = {arm.name: recorded_row(store, journal, arm) for arm in header.arms}
    searched = {name: row for name, row in rows.items() if row.curves}
    if not searched or not header.reduction:
        return f"{name}: nothing was searched"
    steps = next(ask.trial.evaluated_steps for ask in journal.asks if ask.arm in searched and ask.phase == "search")
    replayed = dict[tuple[object, ...], Replayed]()
    graces = dict[_Rungs, list[str]]()
    for setting in _settings(header, options, max(len(row.curves) for row in searched.values())):
        at = _rungs(header, steps, setting)
        if (means := (at, *setting[1:])) not in replayed:
            replayed[means] = _replayed(rows, steps, at, setting, options.slots)
        graces.setdefault((setting.reduction, setting.smoothing, at), []).append(_grace(setting))
    results = list(replayed.values())
    stops = any(end.state == "stopped" for end in journal.ends.values())
    parts = [_title(header, results[0].outcomes, stops), _block(results[0]), _effects(results)]
    return "\n\n".join([*parts, *_times(results, options.slots), "\n".join(map(_judged_at, graces, graces.values()))])


def _judged_at(means: _Rungs, graces: Sequence[str]) -> str:
    """The rungs of settings, which may have the same: the first of them stands for all."""
    reduction, smoothing, at = means
    alike = " or ".join(dict.fromkeys(graces))
    text = f"rungs {_listed(at)}: grace {alike}, 1 in {reduction}, mean of {smoothing}"
    return "\n".join(hanging(text, COLUMNS, rest="  "))


def _listed(at: Sequence[int]) -> str:
    return ", ".join(f"{rung:,}" for rung in at) or "none"


def _title(header: StudyHeader, outcomes: Mapping[str, Effect], stops: bool) -> str:
    """What was searched, and what the figures of a study that stops trials cannot tell."""
    trials, whole = (sum(getattr(each, name) for each in outcomes.values()) for name in ("trials", "whole"))
    text = f"{header.name}: {trials} search trial{'s' * (trials > 1)} by {header.select}, {whole} with whole curves."
    if stops:
        text += (
            " Nobody knows where those that were stopped would have come: only a study of the same rows that stops no "
            "trial, ASHA(grace=1.0), shows what stopping costs."
        )
    return _filled(text + _otherwise(header))


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
    rows: Mapping[str, RecordedRow], steps: tuple[int, ...], at: tuple[int, ...], setting: Setting, slots: Sequence[int]
) -> Replayed:
    """What a setting with these rungs makes of a study's rows."""
    own = {name: setting.of(max(1, len(row.curves))) for name, row in rows.items()}
    outcomes = {name: replay(row.curves, steps, at, own[name]) for name, row in rows.items() if row.curves}

    def taken(number: int, to_the_end: bool) -> float:
        again = {name: row.again(steps, at, own[name], to_the_end=to_the_end) for name, row in rows.items()}
        return duration(again, number)

    ends = (False, True) if _open(list(outcomes.values())) else (False,)
    # The order of trials on slots changes too: the shorter trials may end in the longer study.
    seconds = {number: sorted(taken(number, to_the_end) for to_the_end in ends) for number in slots}
    return Replayed(setting, at, outcomes, {number: (each[0], each[-1]) for number, each in seconds.items()})


def _own(header: StudyHeader) -> Setting:
    """What the study searched by."""
    return Setting(None, header.reduction, header.smoothing, header.parallel or PARALLEL, header.promote)


def _settings(header: StudyHeader, options: argparse.Namespace, most: int) -> list[Setting]:
    """The study's own setting, then every combination of those asked for; no row has more than `most` trials."""
    own = _own(header)
    combinations = itertools.product(
        options.grace,
        options.reduction or [own.reduction],
        options.smoothing or [own.smoothing],
        options.parallel or [own.parallel],
        [answer == "yes" for answer in options.promote] or [own.promote],
    )
    every = [own, *itertools.starmap(Setting, combinations)]
    return list(dict.fromkeys(each._replace(parallel=min(each.parallel, most)) for each in every))


def _rungs(header: StudyHeader, evaluated_steps: tuple[int, ...], setting: Setting) -> tuple[int, ...]:
    """The study's own rungs, or those that a setting means; its grace is only known as far as its first rung tells."""
    warm_up = max(exact(arm.warm_up) for arm in header.arms)
    if setting.grace is None and (setting.reduction, setting.smoothing) == (header.reduction, header.smoothing):
        return header.rungs
    if setting.grace is not None:
        grace = exact(setting.grace)
    elif header.rungs:
        grace = Fraction(header.rungs[0], header.steps) - warm_up
    else:
        raise BadInput(f"{header.name} had no rung that others could begin at; give --grace")
    return rungs(evaluated_steps, warm_up, grace, setting.reduction, setting.smoothing)


def _columns(setting: Setting) -> str:
    """A setting, below `HEADS`."""
    _, reduction, smoothing, parallel, promote = setting
    numbers = f"{_grace(setting):>5}{reduction:>5}{smoothing:>5}{parallel:>9}"
    return f"{numbers}{YES_OR_NO[promote]:>8}"


def _effects(results: Sequence[Replayed]) -> str:
    """A line per setting: what it makes of all rows."""
    lines = [f"{HEADS}     saved  stopped   regret    worst  lost open"]
    for setting, _, outcomes, _ in results:
        every = list(outcomes.values())
        known = [outcome.regret for outcome in every if outcome.regret is not None]
        lost, won = (sum(outcome.winner_stopped is answer for outcome in every) for answer in (True, False))
        lines.append(
            f"{_columns(setting)}{_saved(every):>10}{_stopped(every):>9}"
            f"{_number(statistics.fmean(known) if known else None):>9}{_number(max(known, default=None)):>9}"
            f"{f'{lost}/{lost + won}' if lost + won else '-':>6}{_open(every):>5}"
        )
    return "\n".join(lines)


def _times(results: Sequence[Replayed], slots: Sequence[int]) -> list[str]:
    """A line per setting: how long the whole study would have taken on so many slots."""
    blocks, slots = [], list(dict.fromkeys(slots))
    for begin in range(0, len(slots), SLOTS_A_LINE):
        some = slots[begin : begin + SLOTS_A_LINE]
        heads = "".join(f" {f'{number} slot' + 's' * (number > 1):>11}" for number in some)
        lines = [
            _columns(each.setting) + "".join(f" {described(*each.seconds[slot]):>11}" for slot in some)
            for each in results
        ]
        blocks.append("\n".join([HEADS + heads, *lines]))
    return blocks


def described(least: float, most: float) -> str:
    """A duration between two ends: `24-30 s`."""
    unit, seconds = next(((unit, size) for unit, size in UNITS.items() if most < LONGEST * size), ("h", 3600))
    digits = 1 if unit == "h" and most < 100 * seconds else 0
    low, high = (f"{end / seconds:.{digits}f}" for end in (least, most))
    return f"{low if low == high else f'{low}-{high}'} {unit}"


def _block(own: Replayed) -> str:
    """A line per row of the study's own setting."""
    setting, judged_at, outcomes, _ = own
    title = (
        f"its own setting: 1 in {setting.reduction}, mean of {setting.smoothing}, parallel {setting.parallel}, "
        f"promote {YES_OR_NO[setting.promote]}; rungs {_listed(judged_at)}"
    )
    lines = [_filled(title), f"  {'':<{ARM_COLUMNS}}     saved  stopped  whole   regret  best trial  open"]
    for row, outcome in outcomes.items():
        best = {None: "-", True: "stopped", False: "kept"}[outcome.winner_stopped]
        lines.append(
            f"  {padded(short(row), ARM_COLUMNS)}{_saved([outcome]):>10}{_stopped([outcome]):>9}{outcome.whole:>7}"
            f"{_number(outcome.regret):>9}{best:>12}{_open([outcome]):>6}"
        )
    return "\n".join(lines)


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
    return "\n".join(broken(text, COLUMNS))
