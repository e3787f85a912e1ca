"""The comparison table for people and programs: terminal, Markdown, CSV, LaTeX, Parquet and figures.

results/<study>/table.md          the question, the table, how to read it, what went wrong, IoU by class
results/<study>/table.csv         one line per arm, the fields of `platform.results.Row`, then `iou/<class>`
results/<study>/table.tex         the table for a paper; needs the package booktabs
results/<study>/records.parquet   one line per report of every trial; see `platform.report.parquet`
results/<study>/curves.png        selector and oracle mIoU while training
results/<study>/comparison.png    image, ground truth and each arm's prediction
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from platform import figures
from platform.files import write_whole
from platform.records import Ask, Record
from platform.report import comma_separated, latex, markdown, parquet, terminal
from platform.report.predictions import predictions
from platform.results import Table

__all__ = ["terminal", "write"]


def write(
    table: Table,
    asks: Sequence[Ask],
    records: Mapping[str, Record],
    folder: Path,
    predictions_of: Callable[[str], Path],
) -> list[Path]:
    """Write all files of a study and give their paths; each appears complete or not at all.

    `predictions_of` gives, by a trial's id, where its predictions lie if it left any. Without any there is no
    comparison.png. Raises OSError for a folder that cannot be written.
    """
    files = {
        "table.md": markdown.render(table).encode(),
        "table.csv": comma_separated.render(table).encode(),
        "table.tex": latex.render(table).encode(),
        "records.parquet": parquet.render(asks, records),
        "curves.png": figures.png(figures.curves(table.header, asks, records)),
    }
    if found := predictions(table.header, asks, records, predictions_of):
        groups = tuple(tuple(group) for group in table.header.shift["groups"])
        first = next(iter(found.values()))
        by_arm = {arm: arrays["prediction"] for arm, arrays in found.items()}
        files["comparison.png"] = figures.png(figures.comparison(first["images"], first["truth"], by_arm, groups))
    return [write_whole(folder / name, content) for name, content in files.items()]
