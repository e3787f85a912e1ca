"""Every format is whole and says the names that a study may have, whatever signs they hold."""

import io
import re
import warnings
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from rich.cells import cell_len

from platform.results.figures.curves import curves
from platform.results.figures.png import png
from platform.results.lines import broken
from platform.results.report import comma_separated, latex, markdown, parquet, terminal
from platform.results.report.latex_text import escaped, unspelled
from tests.support.invented_study import made
from tests.support.nasty_names import NASTY
from tests.support.seen_alike import by_arm

LATEX_COMMAND = re.compile(r"\\(?:char34|[a-zA-Z]+|.)")
KNOWN = re.compile(
    r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|char34|pm|Delta|times|leq|beta|ss|o|l|c|"
    r"textit|textbf|textendash|textquoteright|rightarrow|textdagger|[{}&%$#_'~\"^`])\Z"
)
"""What plain LaTeX has, with `booktabs` and old fonts too."""


@pytest.mark.parametrize("width", [52, 80, 200])
def test_the_terminals_lines_fit_and_its_columns_align(width: int) -> None:
    text = terminal.render(made(*NASTY)[3], width)
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert text.replace("\n", "").isprintable()
    scores = text.split("arm ")[1].splitlines()[2:]
    ends = {cell_len(line) for line in scores if re.search(r"[kM] +\d", line)}
    assert len(ends) == 1, "the last column ends at the same place in every row"


def test_markdown_shows_every_name_as_it_is() -> None:
    """By the rules of CommonMark: a backslash before a sign makes it nothing but a sign."""
    text = markdown.render(made(*NASTY)[3])
    rows = [re.split(r"(?<!\\) \| ", line.strip("| "))[0] for line in text.splitlines() if line.startswith("| ")]
    for name in NASTY:
        wanted = " ".join(name.split())
        assert any(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", row) == wanted for row in rows), name
    assert not re.search(r"(?<!\\)(<\w|&\w+;|\]\()", text.split("## ")[0]), "neither HTML, nor entities, nor links"
    assert not re.search(r"^- ([-+=]|\d+[.)])", text, re.MULTILINE), "no list in a list"


def test_csv_and_parquet_give_every_name_back() -> None:
    _, asks, records, table = made(*NASTY)
    arms = pd.read_csv(io.StringIO(comma_separated.render(table)))["arm"]
    assert [arm.removeprefix("'") for arm in arms] == list(NASTY)
    assert not any(arm.lstrip()[:1] in "=+-@" for arm in arms)
    found = pq.read_table(io.BytesIO(parquet.render(asks, by_arm(asks, records))))["arm"].to_pylist()
    assert list(dict.fromkeys(found)) == list(NASTY)


def test_latex_is_ascii_and_uses_what_every_latex_has() -> None:
    text = latex.render(made(*NASTY)[3])
    assert text.isascii()
    first, body = text.split("\n", 1)
    assert "U+4E2D CJK UNIFIED IDEOGRAPH-4E2D" in first
    inner = body.split("\\midrule\n")[1].split("\n\\bottomrule")[0].replace(" \\\\", "")
    assert {command for command in LATEX_COMMAND.findall(inner) if not KNOWN.match(command)} == set()
    bare = re.sub(r"\\[{}&%$#_]", "", inner)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert not re.search(r"[%#~\"]", LATEX_COMMAND.sub("", inner))
    assert not re.search(r"--|''|\?`|!`", inner), "no ligature"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("é e\u0301 ñ ü ç ő č ß ł", r"\'{e} \'{e} \~{n} \"{u} \c{c} \H{o} \v{c} \ss{} \l{}"),
        ("β λ Ω", r"$\beta$ $\lambda$ $\Omega$"),
        ("ο Α ς", "U+03BF U+0391 U+03C2"),  # noqa: RUF001
        ("L² x₁", "L$^{2}$ x$_{1}$"),
        ("a--b", "a-{}-b"),
        ("中", "U+4E2D"),
        ("–", r"\textendash{}"),  # noqa: RUF001
    ],
)
def test_latex_spells_what_it_has_no_character_for(text: str, wanted: str) -> None:
    assert escaped(text) == wanted
    assert (unspelled(text) == []) == ("U+" not in wanted)


def test_every_ascii_sign_stands_in_latex_as_itself() -> None:
    """The oracle: read back what LaTeX would print."""
    printed = {
        "textbackslash": "\\",
        "textasciitilde": "~",
        "textasciicircum": "^",
        "textless": "<",
        "textgreater": ">",
        "textbar": "|",
        "char34": '"',
    }
    for sign in map(chr, range(33, 127)):
        read = re.sub(r"\\([a-z]+\d*)\{\}", lambda found: printed[found[1]], escaped(sign))
        assert re.sub(r"\\(.)", r"\1", read) == sign or read in (sign, f"{{{sign}}}"), sign


def test_figures_draw_every_name_without_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header, _, _, table = made(*NASTY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = png(curves(header, table.runs))
    import matplotlib

    with matplotlib.rc_context({"text.usetex": True, "font.family": "Nowhere", "savefig.dpi": 30}):
        assert png(curves(header, table.runs)) == drawn, "whatever a user's matplotlibrc says"


def test_a_font_that_is_gone_ends_no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.font_manager import FontEntry, fontManager

    from platform.results.figures.png import _fonts

    gone = FontEntry(fname="/nowhere/of-another-machine.ttf", name="Elsewhere")
    monkeypatch.setattr(fontManager, "ttflist", [gone, *fontManager.ttflist])
    assert "Elsewhere" not in _fonts.__wrapped__(frozenset("中"))[0]


def test_signs_that_no_font_has_are_broken_into_lines_as_they_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    from platform.results.figures import png as module

    monkeypatch.setattr(module, "_fonts", lambda signs: (("DejaVu Sans",), signs))
    lines = module.wrapped("กขคง จฉชซ", 24).split("\n")
    assert "".join(lines) == "กขคงจฉชซ".encode("ascii", "backslashreplace").decode()
    assert all(len(line) <= 24 for line in lines)


@pytest.mark.parametrize("columns", [-3, 0, 1, 8])
def test_no_place_is_too_narrow_for_a_text(columns: int) -> None:
    assert "".join("".join(broken("abc def", columns)).split()) == "abcdef"
