"""The comparison table for people and programs: terminal, Markdown, CSV, LaTeX, Parquet and figures.

results/<study>/table.md          the question, the table, how to read it, what went wrong, IoU by class
results/<study>/table.csv         one line per arm, the fields of `platform.results.table.Row`: `scores/miou`, ...
results/<study>/table.tex         the table for a paper; needs the package booktabs
results/<study>/records.parquet   one line per report of every trial; see `platform.results.report.parquet`
results/<study>/curves.png        selector and oracle mIoU while training
results/<study>/effects.csv       one line per effect of an ablation, where the study has one; effects.png shows them
results/<study>/responses.png     the selector by the values of each searched field, and the response to it
results/<study>/comparison.png    image, ground truth and each arm's prediction
"""

from platform.results.report import terminal
from platform.results.report.files import write

__all__ = ["terminal", "write"]
