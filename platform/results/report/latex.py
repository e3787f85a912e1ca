"""The table for a paper, in LaTeX."""

import unicodedata

from platform.results.report import wording
from platform.results.report.latex_text import escaped, unspelled
from platform.results.table import Table


def render(table: Table) -> str:
    r"""A `table` environment in ASCII, for every LaTeX; needs `\usepackage{booktabs}`.

    Characters beyond Latin and Greek are given by their numbers, and a comment names them.
    """
    header = table.header
    lines = [
        (
            escaped(wording.name(row)),
            rf"\textit{{{wording.miou(row)}}}" if row.troubles.failure else escaped(wording.miou(row)),
            wording.delta(row, table, lambda text: rf"\textbf{{{text}}}", _number),
            escaped(wording.plus_minus(row.scores.accuracy, row.scores.accuracy_ci)),
            escaped(wording.parameters(row)),
            escaped(wording.gflops(row)),
            escaped(wording.latency(row)),
            str(row.scores.seeds),
            str(row.effort.trials),
            str(row.troubles.failed),
        )
        for row in table.rows
    ]
    warning = rf"\textbf{{{escaped(wording.oracle_warning(table))}}} " if table.selected_by_oracle else ""
    notes = " ".join(map(escaped, (*wording.reading(table), *(f"{note}." for note in table.notes))))
    delta = rf"$\Delta$ to {escaped(header.reference)}"
    return "\n".join(
        (
            r"% needs \usepackage{booktabs}"
            + _said("".join((header.question, *(row.arm for row in table.rows), *table.notes))),
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escaped(header.question)} {warning}{notes}}}",
            r"\begin{tabular}{lrrrrrrrrr}",
            r"\toprule",
            rf"Arm & mIoU & {delta} & Accuracy & Parameters & GFLOPs & ms & Seeds & Trials & Failed \\",
            r"\midrule",
            *(" & ".join(cells) + r" \\" for cells in lines),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        )
    )


def _number(text: str) -> str:
    return escaped(text).replace("-", "$-$")


def _said(text: str) -> str:
    """In a comment, the characters that no LaTeX prints by itself."""
    found = [f"U+{ord(sign):04X} {unicodedata.name(sign, '')}".strip() for sign in unspelled(text)]
    return f"; given by their numbers, as pdfLaTeX has no font for them: {', '.join(found)}" if found else ""
