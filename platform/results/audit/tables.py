"""An audit as people read it, and as programs do."""

import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from platform.results.audit.audit import LAST, SETTING, Audit, Verdict
from platform.results.audit.measures import LEAST_ROWS, Regret
from platform.results.lines import hanging

NONE = "–"
Line = tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A table of an audit, with a line per selector."""

    title: str
    reading: str
    head: Line
    line: Callable[[Verdict], Line | None]
    """What is said of a selector; None where there is nothing."""
    order: Callable[[Verdict], float]
    """Lowest first."""

    def lines(self, verdicts: Mapping[str, Verdict]) -> list[Line]:
        """The lines, the best selector first."""
        found = [(name, verdict, self.line(verdict)) for name, verdict in verdicts.items()]
        known = [(self.order(verdict), name, line) for name, verdict, line in found if line is not None]
        return [(name, *line) for _, name, line in sorted(known, key=lambda each: each[0])]


def _regret(regret: Regret | None) -> Line | None:
    if regret is None:
        return None
    interval = f"{regret.low:.3f} to {regret.high:.3f}" if math.isfinite(regret.low) else NONE
    worst = f"{regret.worst}/{regret.pools}"
    return _number(regret.spearman), f"{regret.mean:.3f}", interval, f"{regret.largest:.3f}", worst


def _mean(regret: Regret | None) -> float:
    return math.inf if regret is None else regret.mean


def _trials(verdict: Verdict) -> Line | None:
    return _regret(verdict.trials)


def _configurations(verdict: Verdict) -> Line | None:
    line = _regret(verdict.configurations)
    return None if line is None else (*line, _beats(verdict))


def _beats(verdict: Verdict) -> str:
    return f"{verdict.beats_reference}/{verdict.compared}" if verdict.compared else NONE


def _checkpoints(verdict: Verdict) -> Line | None:
    line = _regret(verdict.checkpoints)
    return None if line is None else (_number(verdict.spearman), *line[1:])


def _stopping(verdict: Verdict) -> Line | None:
    stopping = verdict.early_stopping
    if stopping is None:
        return None
    lost = f"{stopping.best_stopped}/{stopping.rows}"
    return f"{stopping.stopped}/{stopping.trials}", lost, f"{stopping.regret:.3f}"


REGRET = ("regret", "95 % interval", "largest", "worst")
SECTIONS = (
    Section(
        "Trials: one of all finished confirm trials of a study",
        "By mIoU on the test split; oracle/miou is the labelled val split.",
        ("selector", "ρ", *REGRET),
        _trials,
        lambda verdict: _mean(verdict.trials),
    ),
    Section(
        "Configurations: one of the finished search trials of each row",
        "By mIoU on the labels of val, since search trials are never tested. beats: rows whose chosen configuration is "
        "worth more than that of the reference's row.",
        ("selector", "ρ", *REGRET, "beats"),
        _configurations,
        lambda verdict: _mean(verdict.configurations),
    ),
    Section(
        "Checkpoints: one of the evaluations of each confirm trial",
        f"By the test split; {LAST} takes the last. ρ all: over all checkpoints of a study, by the labels of val.",
        ("selector", "ρ all", *REGRET),
        _checkpoints,
        lambda verdict: _mean(verdict.checkpoints),
    ),
    Section(
        "Early stopping: what it would have done under a selector",
        f"Replayed on rows whose trials are whole: grace {SETTING.grace:g}, one in {SETTING.reduction} goes on, means "
        f"of {SETTING.smoothing}. lost: rows whose best trial would have been stopped.",
        ("selector", "stopped", "lost", "regret"),
        _stopping,
        lambda verdict: verdict.early_stopping.regret if verdict.early_stopping else math.inf,
    ),
)
"""The tables of an audit, in their order."""
READING = (
    "ρ: weighted Spearman correlation of score and mIoU. regret: mIoU of the best minus that of what the selector "
    f"chooses, mean over the choices, with the interval over rows drawn again, none of fewer than {LEAST_ROWS}, and "
    "the largest. worst: choices that are the worst there was, of all."
)


def terminal(audit: Audit, width: int = 80) -> str:
    """The audit in lines of at most `width` columns."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, color_system=None, force_terminal=False)
    console.print(Text("\n".join(hanging(_title(audit), width))))
    for section in SECTIONS:
        if not (lines := section.lines(audit.overall)):
            continue
        console.print()
        for text in (section.title, section.reading):
            console.print(Text("\n".join(hanging(text, width))))
        console.print()
        grid = Grid(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for number, name in enumerate(section.head):
            grid.add_column(Text(name), justify="right" if number else "left", overflow="fold")
        for line in lines:
            grid.add_row(*map(Text, line))
        console.print(grid)
    console.print()
    console.print(Text("\n".join(hanging(READING, width))))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def markdown(audit: Audit, figures: Sequence[str]) -> str:
    """The audit as a page: overall, by study, by method, and the figures' names."""
    parts = ["# Audit of selectors", _title(audit), READING, *_sections(audit.overall, "##")]
    if len(audit.studies) > 1:
        for study, verdicts in audit.by_study.items():
            parts += [f"## Only {study}", *_sections(verdicts, "###")]
    if by_method := _by_method(audit):
        parts += ["## By method", *by_method]
    parts += [f"![scores against mIoU]({name})" for name in figures]
    return "\n\n".join(parts) + "\n"


def document(audit: Audit) -> str:
    """The audit as JSON; what is not known is null."""
    return json.dumps(_plain(asdict(audit)), indent=1, allow_nan=False) + "\n"


def _title(audit: Audit) -> str:
    studies = ", ".join(audit.studies)
    held = f"{_counted(audit.checkpoints, 'checkpoint')} of {_counted(audit.trials, 'trial')}"
    return f"{held}, upper bounds left out: {studies}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _sections(verdicts: Mapping[str, Verdict], level: str) -> list[str]:
    parts = []
    for section in SECTIONS:
        if lines := section.lines(verdicts):
            parts += [f"{level} {section.title}", section.reading, _table(section.head, lines)]
    return parts


def _by_method(audit: Audit) -> list[str]:
    """What the chosen configurations are worth, and the correlation over all checkpoints, method by method."""
    columns = [audit.by_method[method] for method in audit.by_method]
    head = ("selector", *audit.by_method)
    kinds: list[tuple[str, Callable[[Verdict], str]]] = []
    # Where no row has anything to choose among, every selector chooses the same.
    if any(verdict.configurations for verdict in audit.overall.values()):
        kinds = [
            ("Regret of the configurations that are chosen:", lambda verdict: _shown(verdict.configurations)),
            ("Rows whose chosen configuration is worth more than that of the reference's row:", _beats),
        ]
    kinds.append(("Correlation over all checkpoints:", lambda verdict: _number(verdict.spearman)))
    parts = []
    for title, cell in kinds:
        lines = [(name, *(cell(verdicts[name]) for verdicts in columns)) for name in audit.overall]
        if known := [line for line in lines if set(line[1:]) != {NONE}]:
            parts += [title, _table(head, known)]
    return parts


def _table(head: Line, lines: Sequence[Line]) -> str:
    ruler = ["---", *["---:"] * (len(head) - 1)]
    cells = ([cell.replace("|", "\\|") for cell in line] for line in (head, ruler, *lines))
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def _shown(regret: Regret | None) -> str:
    return NONE if regret is None else f"{regret.mean:.3f}"


def _number(value: float) -> str:
    return f"{value:+.2f}" if math.isfinite(value) else NONE


def _plain(value: Any) -> Any:
    """The same, with None for every number that is none."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
