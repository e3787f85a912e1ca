"""The LaTeX table compiles whatever a name holds."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from platform.results.report.latex import render
from platform.results.report.latex_text import SPELLED, escaped
from tests.support.invented_study import AWKWARD, made, mishaps
from tests.support.nasty_names import NASTY


def latex_rows(text: str) -> list[str]:
    body = text.split("\\midrule\n")[1].split("\n\\bottomrule")[0]
    return [line.removesuffix(r" \\") for line in body.splitlines()]


def test_latex_rows_have_as_many_cells_as_the_tabular_has_columns() -> None:
    _, _, _, rows = made(*AWKWARD)
    text = render(rows)
    (columns,) = re.findall(r"\\begin\{tabular\}\{(\w+)\}", text)
    lines = latex_rows(text)
    assert len(lines) == len(rows.rows)
    assert all(len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1 for line in lines)


def test_latex_has_no_character_that_would_not_compile() -> None:
    _, _, _, rows = made(*AWKWARD, question="50 % of {what}? \\input{x} #1 a_b ^ ~")
    body = render(rows).split("\n", 1)[1]
    assert not re.search(r"(?<!\\)[#%]|[~^]|\\input", body)
    without_escapes = re.sub(r"\\[{}&%$#_]", "", body)
    depth = 0
    for character in without_escapes:
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert depth == 0
    assert without_escapes.count("$") % 2 == 0
    # Subscripts outside of formulas are what an unescaped underscore would be.
    assert "_" not in re.sub(r"\$[^$]*\$", "", without_escapes)
    assert not [line for line in latex_rows(body) if line.lstrip().startswith(("[", "*"))]
    assert "β" not in body
    assert r"$\beta$" in body


def test_latex_prints_a_minus_as_a_minus() -> None:
    _, _, _, rows = made(qualities=(0.6, 0.3))
    assert re.search(r"\\textbf\{\$-\$0\.\d{3} \$\\pm\$ 0\.\d{3}\}", render(rows))


def test_latex_marks_an_arm_that_failed() -> None:
    *_, rows = mishaps()
    text = render(rows)
    (line,) = [line for line in latex_rows(text) if line.startswith("FDA &")]
    assert line.split(" & ")[1] == r"\textit{all failed}"
    assert line.split(" & ")[-1] == "7"
    assert "FDA: all 7 trials failed, which leaves no score: 4 diverged, 3 data." in text
    assert "0007.png" not in text, "reasons are for those who mend, not for a paper's caption"


def has_latex() -> bool:
    """Whether pdflatex is here, and the one package that the table needs."""
    find = shutil.which("kpsewhich")
    return find is not None and subprocess.run([find, "booktabs.sty"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not has_latex(), reason="needs pdflatex and booktabs (Debian: texlive-latex-recommended)")
@pytest.mark.parametrize("preamble", ["", r"\usepackage[T1]{fontenc}"])
def test_latex_compiles(tmp_path: Path, preamble: str) -> None:
    letters = "".join(map(chr, [*range(32, 127), *range(160, 0x180), *range(0x391, 0x3CA)]))
    everything = escaped(" ".join([*SPELLED, *letters]))
    document = [
        r"\documentclass{article}\usepackage{booktabs}",
        preamble,
        r"\begin{document}",
        render(made(*NASTY, question=letters)[3]),
        everything,
        r"\end{document}",
    ]
    (tmp_path / "paper.tex").write_text("\n".join(document), encoding="ascii")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stdout.decode(errors="replace")[-2000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000
