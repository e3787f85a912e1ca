"""The table as a Markdown page."""

import inspect
import re

import numpy as np

from platform.records.plain import legible
from platform.results.lines import NONE
from platform.results.notes import counted
from platform.results.report import wording
from platform.results.report.page import differences, effects, fairness, responses
from platform.results.report.page.text import bold, bullets, escaped, rows
from platform.results.table import Table
from platform.scores.metrics import LEFT_OUT


def render(table: Table) -> str:
    """The question, the table, how to read it, what went wrong, how rows were reached, time, costs, IoU by class."""
    parts = [
        f"# {escaped(table.header.name)}",
        quoted(table.header.question),
        *([f"> **Warning: {escaped(wording.oracle_warning(table))}**"] if table.selected_by_oracle else []),
        _scores(table),
        bullets(wording.reading(table)),
        *_faults(table),
        *differences.of_rows(table),
        *effects.of_ablations(table),
        "## Which checkpoint",
        _checkpoints(table),
        wording.checkpoints(table),
        "## How each row was reached",
        _reached(table),
        *fairness.of_rows(table),
        *fairness.compute(table),
        *responses.of_fields(table.searched, table.header.rungs),
        "## Where the time went",
        _speeds(table),
        "Of the row's own trials: images of all batches, source and target, by the second of training; waiting is a "
        "share of training, evaluating and saving checkpoints are shares of these three together.",
        "## Cost",
        _costs(table),
        *_by_number_of_classes(table),
        "## By the original study's conventions",
        _original(table),
        "Only to compare with its table: 18 classes, absent ones counted as 0, accuracy over void pixels too; "
        f"{NONE} where one label of the ground truth stands for several classes.",
        "## IoU by class",
        _by_class(table),
        *differences.by_class(table),
    ]
    return "\n\n".join(parts) + "\n"


def quoted(question: str) -> str:
    """A docstring's own Markdown, but no HTML, links or pictures: records may be somebody else's."""
    lines = map(legible, inspect.cleandoc(question).splitlines())
    return "\n".join(re.sub(r"(<|&(?=#?\w+;)|\](?=[(\[:]))", r"\\\1", line) for line in lines)


def _scores(table: Table) -> str:
    head = (
        "arm",
        "mIoU",
        f"Δ mIoU to {escaped(table.header.reference)}",
        "accuracy",
        "parameters",
        "GFLOPs",
        "ms",
        "seeds",
    )
    cells = [
        (
            f"**{wording.miou(row)}**" if row.troubles.failure else wording.miou(row),
            wording.delta(row, table, bold),
            wording.plus_minus(row.scores.accuracy, row.scores.accuracy_ci),
            wording.parameters(row),
            wording.gflops(row),
            wording.latency(row),
            _with(f"{row.scores.seeds} of {table.runs[row.arm].seeds}", counted(row.troubles.flaws)),
        )
        for row in table.rows
    ]
    return rows(head, _arms(table), cells)


def _faults(table: Table) -> list[str]:
    parts = ["## Missing and failed", bullets(table.notes)] if table.notes else []
    if reasons := wording.reasons(table):
        parts += ["In the trials' words, each reason once, with the id of the first trial that gives it:"]
        parts += [bullets(reasons)]
    return parts


def _checkpoints(table: Table) -> str:
    cells = [wording.mious_of_checkpoints(row) for row in table.rows]
    return rows(("arm", *wording.CHECKPOINTS), _arms(table), cells)


def _reached(table: Table) -> str:
    cells = [
        (
            escaped(row.method),
            escaped(row.given or NONE),
            escaped(row.tuned or NONE),
            escaped(row.searched or NONE),
        )
        for row in table.rows
    ]
    return rows(("arm", "method", "given", "tuned", "ranges"), _arms(table), cells, texts=5)


def _speeds(table: Table) -> str:
    head = ("arm", "trained on", "images/s", "waiting for images", "waiting for the device", "evaluating", "saving")
    cells = [
        (
            escaped("; ".join(row.speed.trained_on) or NONE),
            wording.number(row.speed.images_per_second, ".3g"),
            wording.number(row.speed.awaiting_images, ".0%"),
            wording.number(row.speed.awaiting_device, ".0%"),
            wording.number(row.speed.evaluating, ".0%"),
            wording.number(row.speed.saving, ".0%"),
        )
        for row in table.rows
    ]
    return rows(head, _arms(table), cells, texts=2)


def _costs(table: Table) -> str:
    published = ("as published", "only trained")
    head = ("arm", "parameters deployed", *published, "GFLOPs deployed", *published)
    cells = [
        (
            f"{row.cost.deployed_parameters:,}",
            f"{row.cost.parameters:,}",
            f"{row.cost.discriminator_parameters:,}",
            f"{row.cost.deployed_gflops:.4g}",
            f"{row.cost.gflops:.4g}",
            f"{row.cost.discriminator_gflops:.4g}",
        )
        for row in table.rows
    ]
    return rows(head, _arms(table), cells)


def _by_number_of_classes(table: Table) -> list[str]:
    """Nothing where the ground truth tells too few classes apart."""
    cells = [[wording.plus_minus(*each) for each in row.scores.miou_over.values()] for row in table.rows]
    if {cell for line in cells for cell in line} <= {NONE}:
        return []
    head = ("arm", *(f"{number} classes" for number in LEFT_OUT))
    return ["## mIoU over 19, 16 and 13 classes", rows(head, _arms(table), cells), wording.numbers_of_classes()]


def _original(table: Table) -> str:
    cells = [
        (
            wording.number(row.scores.original_miou, ".3f"),
            wording.number(row.scores.original_accuracy, ".3f"),
            f"{row.cost.original_gflops:.4g}",
            f"{row.cost.original_discriminator_gflops:.4g}",
        )
        for row in table.rows
    ]
    return rows(("arm", "mIoU", "accuracy", "GFLOPs", "GFLOPs only trained"), _arms(table), cells)


def _by_class(table: Table) -> str:
    by_class = np.transpose([row.scores.iou for row in table.rows])
    cells = [[wording.number(iou, ".3f") for iou in line] for line in by_class]
    return rows(("class", *_arms(table)), table.groups, cells)


def _arms(table: Table) -> list[str]:
    return [escaped(wording.name(row)) for row in table.rows]


def _with(text: str, detail: str) -> str:
    return f"{text} ({detail})" if detail else text
