"""The comparison table for people and programs: terminal, Markdown, CSV, LaTeX, Parquet and figures.

results/<study>/table.md          the question, the table, how to read it, what is missing, IoU by class
results/<study>/table.csv         one line per arm, the fields of `platform.results.Row`, then `iou/<class>`
results/<study>/table.tex         the table for a paper; needs the package booktabs
results/<study>/records.parquet   one line per report of every trial; see `parquet`
results/<study>/curves.png        selector and oracle mIoU while training
results/<study>/comparison.png    image, ground truth and each arm's prediction
"""

import csv
import dataclasses
import inspect
import io
import json
import math
import re
import textwrap
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from platform import figures
from platform.files import write_whole
from platform.records import PREDICTIONS, Ask, Record, StudyHeader
from platform.results import FIXED, Row, Table, final_confusion, trials_by_arm

NONE = "–"  # noqa: RUF001


def write(
    table: Table,
    header: StudyHeader,
    asks: Sequence[Ask],
    records: Mapping[str, Record],
    folder: Path,
    trial_folder: Callable[[str], Path],
) -> list[Path]:
    """Write all files of a study and give their paths; each appears complete or not at all.

    `trial_folder` gives a trial's folder by its id: an arm is pictured by the complete confirm run of its lowest seed
    that left a picture, and without any picture there is no comparison.png. Raises OSError for a folder that cannot be
    written.
    """
    files = {
        "table.md": markdown(table).encode(),
        "table.csv": comma_separated(table).encode(),
        "table.tex": latex(table).encode(),
        "records.parquet": parquet(asks, records),
        "curves.png": figures.png(figures.curves(header, asks, records)),
    }
    if pictures := _pictures(header, asks, records, trial_folder):
        groups = tuple(tuple(group) for group in header.shift["groups"])
        first = next(iter(pictures.values()))
        predictions = {arm: picture["prediction"] for arm, picture in pictures.items()}
        files["comparison.png"] = figures.png(figures.comparison(first["images"], first["truth"], predictions, groups))
    return [write_whole(folder / name, content) for name, content in files.items()]


def terminal(table: Table, width: int = 80) -> str:
    """The table as plain text of at most `width` columns: scores, how each row was reached, then notes."""
    scores = _grid("arm", "mIoU", "Δ mIoU", "accuracy", "params", "GFLOPs")
    efforts = _grid("arm", "discriminator", "seeds", "trials", "stopped", "failed", "hours")
    for row in table.rows:
        delta = _delta(row, table, lambda text: f"{text} *").replace(" ± ", "±")
        if not row.differs:
            delta += "  "  # keeps its digits under those of the starred ones
        miou = _plus_minus(row.miou, row.miou_ci).replace(" ± ", "±")
        cells = (_name(row), miou, delta, _number(row.accuracy, ".3f"), _count(row.parameters), f"{row.gflops:.3g}")
        scores.add_row(*map(Text, cells))
        discriminator = f"+{_count(row.discriminator_parameters)}" if row.discriminator_parameters else NONE
        counts = (f"{row.seeds} of {table.seeds}", str(row.trials), str(row.stopped), str(row.failed))
        efforts.add_row(*map(Text, (_name(row), discriminator, *counts, f"{row.hours:.2f}")))

    height, wide = table.size
    title = f"{table.study}: {table.shift} at {height} x {wide}, {table.steps:,} steps, selected by {table.select}"
    notes = [
        f"mIoU: mean over {_classes(table)}. {_interval(table)}",
        f"Δ: difference to {table.reference}, paired by seed; * where its interval excludes 0.",
        *_upper_bound(table),
        *(f"! {note}" for note in table.notes),
    ]
    tuned = [f"{row.arm} tuned to {row.tuned}" for row in table.rows if row.tuned not in (FIXED, "")]
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, color_system=None, force_terminal=False)
    console.print(Text(title), end="\n\n")
    if table.oracle:
        console.print(Text(f"!!! {_oracle_warning(table)} !!!"), end="\n\n")
    console.print(scores)
    console.print()
    console.print(efforts)
    for lines in filter(None, (tuned, notes)):
        console.print()
        for line in lines:
            console.print(Text(textwrap.fill(line, width, subsequent_indent="  ")))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def markdown(table: Table) -> str:
    """The question, the table, how to read it, what is missing, how rows were reached, costs, IoU by class."""
    arms = [_markdown(_name(row)) for row in table.rows]
    scores = [
        (
            _plus_minus(row.miou, row.miou_ci),
            _delta(row, table, lambda text: f"**{text}**"),
            _plus_minus(row.accuracy, row.accuracy_ci),
            _count(row.parameters) + _trained_only(_count(row.discriminator_parameters)),
            f"{row.gflops:.4g}" + _trained_only(f"{row.discriminator_gflops:.4g}"),
            f"{row.seeds} of {table.seeds}",
        )
        for row in table.rows
    ]
    efforts = [
        (
            _markdown(row.method),
            _markdown(row.tuned or NONE),
            _markdown(row.searched or NONE),
            str(row.trials),
            str(row.stopped),
            str(row.failed),
            f"{row.hours:.2f}",
        )
        for row in table.rows
    ]
    costs = [
        (
            f"{row.deployed_parameters:,}",
            f"{row.parameters:,}",
            f"{row.discriminator_parameters:,}",
            f"{row.deployed_gflops:.4g}",
            f"{row.gflops:.4g}",
            f"{row.discriminator_gflops:.4g}",
        )
        for row in table.rows
    ]
    original = [
        (
            _number(row.miou_original, ".3f"),
            _number(row.accuracy_original, ".3f"),
            f"{row.original_gflops:.4g}",
            f"{row.original_discriminator_gflops:.4g}",
        )
        for row in table.rows
    ]
    ious = np.transpose([row.iou for row in table.rows])
    by_class = [[_number(iou, ".3f") for iou in line] for line in ious]
    delta = f"Δ mIoU to {_markdown(table.reference)}"
    parts = [
        f"# {_markdown(table.study)}",
        inspect.cleandoc(table.question),
        *([f"> **Warning: {_markdown(_oracle_warning(table))}**"] if table.oracle else []),
        _rows(("arm", "mIoU", delta, "accuracy", "parameters", "GFLOPs", "seeds"), arms, scores),
        _bullets(_reading(table)),
        *(["## Missing and failed", _bullets(table.notes)] if table.notes else []),
        "## How each row was reached",
        _rows(
            ("arm", "method", "tuned", "ranges", "search trials", "stopped early", "failed", "hours"),
            arms,
            efforts,
            texts=4,
        ),
        "## Cost",
        _rows(
            (
                "arm",
                "parameters deployed",
                "as published",
                "discriminator",
                "GFLOPs deployed",
                "as published",
                "discriminator",
            ),
            arms,
            costs,
        ),
        "## By the original study's conventions",
        _rows(("arm", "mIoU", "accuracy", "GFLOPs", "discriminator GFLOPs"), arms, original),
        "Only to compare with its table: 18 classes, absent ones counted as 0, accuracy over void pixels too; "
        f"{NONE} where the ground truth does not distinguish the 19 classes.",
        "## IoU by class",
        _rows(("class", *arms), table.groups, by_class),
    ]
    return "\n\n".join(parts) + "\n"


def comma_separated(table: Table) -> str:
    """The fields of every row, then `iou/<class>`; what does not exist is empty, reasons are joined by '; '."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    names = [field.name for field in dataclasses.fields(Row) if field.name != "iou"]
    writer.writerow([*names, *(f"iou/{name}" for name in table.groups)])
    for row in table.rows:
        writer.writerow(_cell(value) for value in (*(getattr(row, name) for name in names), *row.iou))
    return buffer.getvalue()


def latex(table: Table) -> str:
    r"""A `table` environment; needs `\usepackage{booktabs}`, and XeLaTeX for names beyond Latin and Greek."""
    lines = [
        (
            _latex(_name(row)),
            _latex(_plus_minus(row.miou, row.miou_ci)),
            _delta(row, table, lambda text: rf"\textbf{{{text}}}", _latex_number),
            _latex(_plus_minus(row.accuracy, row.accuracy_ci)),
            _latex(_count(row.parameters) + _trained_only(_count(row.discriminator_parameters))),
            _latex(f"{row.gflops:.4g}" + _trained_only(f"{row.discriminator_gflops:.4g}")),
            str(row.seeds),
            str(row.trials),
        )
        for row in table.rows
    ]
    reference = _latex(table.reference)
    warning = rf"\textbf{{{_latex(_oracle_warning(table))}}} " if table.oracle else ""
    notes = " ".join(_latex(note) for note in (*_reading(table), *(f"{note}." for note in table.notes)))
    return "\n".join(
        (
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex(table.question)} {warning}{notes}}}",
            r"\begin{tabular}{lrrrrrrr}",
            r"\toprule",
            rf"Arm & mIoU & $\Delta$ to {reference} & Accuracy & Parameters & GFLOPs & Seeds & Trials \\",
            r"\midrule",
            *(" & ".join(cells) + r" \\" for cells in lines),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        )
    )


LEADING = {
    "arm": pa.string(),
    "phase": pa.string(),
    "number": pa.int64(),
    "trial": pa.string(),
    "method": pa.string(),
    "seed": pa.int64(),
    "steps": pa.int64(),
    "state": pa.string(),
    "reason": pa.string(),
    "step": pa.int64(),
    "seconds": pa.float64(),
}
"""The first columns of `records.parquet`, there even when there are no records."""


def parquet(asks: Sequence[Ask], records: Mapping[str, Record]) -> bytes:
    """Every report of every trial that the study asked for, as the bytes of a Parquet file.

    One line per (ask, report); a trial that has not reported has one line whose step is missing. Columns: `arm`,
    `phase`, `number`, `trial`, `method`, `seed`, `steps`, `state` (missing while it runs), `reason`, `step`, `seconds`;
    then `hyperparameter/<name>`, `resolved/<name>/<meaning>`, `recipe/<name>`, `provenance/<name>`, `cost/<name>`, the
    metrics under their own names, and `confusion/<split>`, 400 counts:
    `np.reshape(value, (20, 20))[ground truth, prediction]`.
    """
    distinct = {(ask.arm, ask.phase, ask.number, ask.trial.id): ask for ask in asks}
    lines = [line for (*_, trial_id), ask in distinct.items() for line in _lines(ask, trial_id, records.get(trial_id))]
    names = [*LEADING, *sorted({name for line in lines for name in line} - LEADING.keys())]
    columns = {name: _column([line.get(name) for line in lines], LEADING.get(name)) for name in names}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _lines(ask: Ask, trial_id: str, record: Record | None) -> Iterator[dict[str, Any]]:
    trial = ask.trial
    constant = {
        "arm": ask.arm,
        "phase": ask.phase,
        "number": ask.number,
        "trial": trial_id,
        "method": trial.method,
        "seed": trial.seed,
        "steps": trial.steps,
        "state": record.end.state if record and record.end else None,
        "reason": record.end.reason if record and record.end else None,
        **{f"hyperparameter/{name}": value for name, value in trial.hyperparameters.items()},
        **{f"recipe/{name}": value for name, value in trial.recipe.items()},
        **{
            f"resolved/{name}/{meaning}": value
            for name, meanings in trial.resolved.items()
            for meaning, value in meanings.items()
        },
        **{f"provenance/{name}": value for name, value in (record.provenance if record else {}).items()},
        **{f"cost/{name}": value for name, value in (record.cost if record else {}).items()},
    }
    if record is None or not record.reports:
        yield constant
        return
    for report in record.reports:
        confusions = {f"confusion/{split}": np.ravel(counts) for split, counts in report.confusions.items()}
        yield {**constant, "step": report.step, "seconds": report.seconds, **report.metrics, **confusions}


def _column(values: Sequence[Any], kind: pa.DataType | None) -> pa.Array:
    try:
        return pa.array(values, kind)
    except pa.ArrowException:
        # Two methods may have fields of one name and different types, which one column cannot hold.
        return pa.array([None if value is None else json.dumps(value) for value in values])


def _pictures(
    header: StudyHeader, asks: Sequence[Ask], records: Mapping[str, Record], trial_folder: Callable[[str], Path]
) -> dict[str, dict[str, npt.NDArray[np.uint8]]]:
    """The pictures by arm, all of the same images."""
    pictures: dict[str, dict[str, npt.NDArray[np.uint8]]] = {}
    for arm, trials in trials_by_arm(header, asks).items():
        complete = (ask.trial.id for ask in trials.confirm if final_confusion(records.get(ask.trial.id)))
        found = (_picture(trial_folder(trial_id) / PREDICTIONS) for trial_id in complete)
        picture = next((picture for picture in found if picture), None)
        if picture and all(np.array_equal(picture["images"], other["images"]) for other in pictures.values()):
            pictures[arm] = picture
    return pictures


def _picture(path: Path) -> dict[str, npt.NDArray[np.uint8]] | None:
    try:
        with np.load(path) as stored:
            return {name: stored[name] for name in ("images", "truth", "prediction")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # absent, or torn by a crash: the table is worth more than one column of its picture


def _upper_bound(table: Table) -> list[str]:
    selectors = sorted({row.selected_by for row in table.rows if row.supervised})
    return [f"† trains on target labels and is picked by {selector}: an upper bound." for selector in selectors]


def _reading(table: Table) -> list[str]:
    """What a reader must know to believe the numbers, one sentence or two each."""
    height, width = table.size
    rungs = " and ".join(f"{rung:,}" for rung in table.rungs if rung < table.steps)
    early = f", stopped early after {rungs} steps where others of its arm did better" if rungs else ""
    return [
        f"{_interval(table)} Only confirm runs count: the chosen configuration, all steps, on seeds that the search "
        "never used.",
        f"Δ is the difference in mIoU to {table.reference}, paired by seed; bold where its interval excludes 0.",
        f"Scores are those of the target's test split ({table.shift}), by the Cityscapes convention: one confusion "
        f"matrix over the split, at the ground truth's resolution, void left out; mean over {_classes(table)}. "
        f"Networks see images of {height} x {width}.",
        f"Budget: {table.steps:,} steps a run; for an arm with ranges, {table.search_trials} search trials, the "
        f"published default first{early}. Selected by {table.select}.",
        "Parameters and GFLOPs (2 x multiply-accumulate, at 512 x 1024) are the network's as published; after the "
        "plus, the discriminator's, which is trained and never deployed.",
        *_upper_bound(table),
    ]


def _interval(table: Table) -> str:
    if table.seeds == 1:
        return "A single seed has no interval: do not rank these rows."
    fewer = ", fewer where a row says so" if any(row.seeds_missing for row in table.rows) else ""
    return f"± is the half-width of the 95 % Student-t interval over {table.seeds} seeds{fewer}."


def _classes(table: Table) -> str:
    kept = len(table.groups) - len(table.absent)
    if not table.absent:
        return f"all {kept} classes"
    return f"{kept} of {len(table.groups)} classes, without {', '.join(table.absent)}, which the test split never holds"


def _oracle_warning(table: Table) -> str:
    return f"ORACLE SELECTION: {table.select} chose every row's configuration with target labels."


def _name(row: Row) -> str:
    return f"{row.arm} †" if row.supervised else row.arm


def _number(value: float, form: str) -> str:
    return NONE if math.isnan(value) else format(value, form)


def _plus_minus(mean: float, half_width: float, sign: str = "") -> str:
    spread = "" if math.isnan(half_width) else f" ± {half_width:.3f}"
    return _number(mean, f"{sign}.3f") + spread


def _delta(
    row: Row, table: Table, emphasise: Callable[[str], str], escape: Callable[[str], str] = lambda text: text
) -> str:
    """The difference to the reference, emphasised only where its interval excludes 0."""
    if row.arm == table.reference:
        return "reference"
    text = escape(_plus_minus(row.delta, row.delta_ci, "+"))
    return emphasise(text) if row.differs else text


def _count(number: int) -> str:
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if number >= size:
            return f"{number / size:.3g}{unit}" if number < 100 * size else f"{number / size:,.0f}{unit}"
    return str(number)


def _trained_only(cost: str) -> str:
    return f" + {cost}" if cost.strip("0.") else ""


def _cell(value: Any) -> Any:
    if isinstance(value, tuple):
        return "; ".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if isinstance(value, float) and math.isnan(value) else value


def _grid(*names: str) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for number, name in enumerate(names):
        grid.add_column(Text(name), justify="right" if number else "left", overflow="fold")
    return grid


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {_markdown(line)}" for line in lines)


def _rows(head: Sequence[str], names: Sequence[str], cells: Sequence[Sequence[str]], texts: int = 1) -> str:
    """A Markdown table: names, then cells, all Markdown already; the first `texts` columns are aligned to the left."""
    lines = [
        head,
        [":--"] * texts + ["--:"] * (len(head) - texts),
        *([name, *line] for name, line in zip(names, cells, strict=True)),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>#|~$])", r"\\\1", " ".join(text.split()))


_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # A row that began with one of these would be read as an argument of the line break before it.
    "[": "{[}",
    "*": "{*}",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
    "→": r"$\rightarrow$",
    "†": r"\textdagger{}",
}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character) or _greek(character) for character in " ".join(text.split()))


def _latex_number(text: str) -> str:
    return _latex(text).replace("-", "$-$")


def _greek(character: str) -> str:
    # pdfLaTeX has no Greek letters outside of formulas; Unicode calls lambda "lamda".
    letter = re.fullmatch(r"GREEK SMALL LETTER (\w+)", unicodedata.name(character, ""))
    return rf"$\{letter[1].lower().replace('lamda', 'lambda')}$" if letter else character
