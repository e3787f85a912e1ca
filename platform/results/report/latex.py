"""The table for a paper, in LaTeX."""

import re
import unicodedata

from platform.results.report import wording
from platform.results.table import Table

SYMBOLS = {
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


def render(table: Table) -> str:
    r"""A `table` environment; needs `\usepackage{booktabs}`, and XeLaTeX for names beyond Latin and Greek."""
    header = table.header
    lines = [
        (
            _escaped(wording.name(row)),
            rf"\textit{{{wording.miou(row)}}}" if row.troubles.failure else _escaped(wording.miou(row)),
            wording.delta(row, table, lambda text: rf"\textbf{{{text}}}", _number),
            _escaped(wording.plus_minus(row.scores.accuracy, row.scores.accuracy_ci)),
            _escaped(wording.parameters(row)),
            _escaped(wording.gflops(row)),
            str(row.scores.seeds),
            str(row.effort.trials),
            str(row.troubles.failed),
        )
        for row in table.rows
    ]
    warning = rf"\textbf{{{_escaped(wording.oracle_warning(table))}}} " if table.selected_by_oracle else ""
    notes = " ".join(map(_escaped, (*wording.reading(table), *(f"{note}." for note in table.notes))))
    delta = rf"$\Delta$ to {_escaped(header.reference)}"
    return "\n".join(
        (
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_escaped(header.question)} {warning}{notes}}}",
            r"\begin{tabular}{lrrrrrrrr}",
            r"\toprule",
            rf"Arm & mIoU & {delta} & Accuracy & Parameters & GFLOPs & Seeds & Trials & Failed \\",
            r"\midrule",
            *(" & ".join(cells) + r" \\" for cells in lines),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        )
    )


def _escaped(text: str) -> str:
    return "".join(SYMBOLS.get(character) or _greek(character) for character in " ".join(text.split()))


def _number(text: str) -> str:
    return _escaped(text).replace("-", "$-$")


def _greek(character: str) -> str:
    # pdfLaTeX has no Greek letters outside of formulas; Unicode calls lambda "lamda".
    letter = re.fullmatch(r"GREEK SMALL LETTER (\w+)", unicodedata.name(character, ""))
    return rf"$\{letter[1].lower().replace('lamda', 'lambda')}$" if letter else character
