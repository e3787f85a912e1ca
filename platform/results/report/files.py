"""The files that a study leaves for people and programs, each written whole."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from platform.records.record import Ask, Record
from platform.records.storage.files import write_whole
from platform.results.ablation.effects import ablations
from platform.results.figures import effects
from platform.results.figures import predictions as panels
from platform.results.figures.curves import curves
from platform.results.figures.png import png
from platform.results.figures.responses import responses
from platform.results.report import comma_separated, latex, markdown, parquet
from platform.results.report.predictions import predictions
from platform.results.table import Table

SOMETIMES = {"comparison.png", "effects.csv", "effects.png", "responses.png"}
"""Files that not every study has."""


def write(
    table: Table,
    asks: Sequence[Ask],
    records: Mapping[str, Mapping[str, Record]],
    folder: Path,
    predictions_of: Callable[[str], Path],
) -> list[Path]:
    """Write all files of a study and give their paths; each appears complete or not at all.

    Older ones, of other runs than the table's, go. Raises OSError for a folder that cannot be written.
    """
    files = made(table, asks, records, predictions_of)
    for name in SOMETIMES - files.keys():
        (folder / name).unlink(missing_ok=True)
    return [write_whole(folder / name, content) for name, content in files.items()]


def made(
    table: Table,
    asks: Sequence[Ask],
    records: Mapping[str, Mapping[str, Record]],
    predictions_of: Callable[[str], Path],
) -> dict[str, bytes]:
    """All files of a study, by name.

    `predictions_of` gives, by a trial's id, where its predictions lie if it left any. Without any there is no
    comparison.png, without ranges no responses.png, and without an ablation neither effects.png nor effects.csv.
    """
    files = {
        "table.md": markdown.render(table).encode(),
        "table.csv": comma_separated.render(table).encode(),
        "table.tex": latex.render(table).encode(),
        "records.parquet": parquet.render(asks, records),
        "curves.png": png(curves(table.header, table.runs)),
    }
    if ablated := ablations(table):
        files["effects.csv"] = comma_separated.render_effects(ablated).encode()
        files["effects.png"] = png(effects.effects(ablated))
    if table.searched:
        files["responses.png"] = png(responses(table.searched))
    if found := predictions(table.runs, predictions_of):
        first = next(iter(found.values()))
        by_arm = {arm: arrays["prediction"] for arm, arrays in found.items()}
        files["comparison.png"] = png(panels.comparison(first["images"], first["truth"], by_arm, table.header.groups))
    return files
