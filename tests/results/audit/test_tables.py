"""An audit as it is printed and written: it fits, the best comes first, and nothing is said that is not known."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len

from platform.records.record import ORACLE_MIOU
from platform.results.audit.audit import LAST, NOTHING, Audit, audit
from platform.results.audit.measures import LEAST_ROWS
from platform.results.audit.tables import NONE, SECTIONS, document, markdown, terminal
from platform.scores.selectors import SHELF, Selector
from tests.support.made_checkpoints import confirmed, searched

SHELVED = {selector.name: selector for selector in SHELF}
NAMES = tuple(SHELVED)
COMPARING = {name for name, selector in SHELVED.items() if selector.compares()}
LONG = "own/a_name_that_is_as_long_as_any_may_be_and_has_no_blank_in"


def selectors(*names: str) -> dict[str, Selector]:
    """The selectors of these names, one of the shelf's where there is none."""
    return {name: SHELVED.get(name, SHELF[0]) for name in names}


def values(seed: float, names: tuple[str, ...]) -> dict[str, list[float]]:
    """Scores by which selectors are the better the earlier they are named."""
    return {name: [seed * (len(names) - 2 * number) for _ in range(4)] for number, name in enumerate(names)}


def made(names: tuple[str, ...] = NAMES, studies: tuple[str, ...] = ("quickstart",), confirms: bool = True) -> Audit:
    """An audit of two rows with two search trials and two seeds each."""
    trials = []
    for study in studies:
        for row, base in (("source only", 0.2), ("FDA", 0.3)):
            for number in range(2):
                val = [base + 0.01 * number + 0.1 * step for step in range(4)]
                trials.append(searched(row, number, val, values(val[-1], names), study))
                if confirms:
                    trials.append(confirmed(row, number, val, values(val[-1], names), study))
    return audit([checkpoint for trial in trials for checkpoint in trial], selectors(*names))


def grids(text: str) -> list[list[str]]:
    """The lines of each table on a terminal, below its rule."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if set(line) == {"─"}:
            found.append([])
        elif found and line and not line.startswith(" "):
            found[-1].append(line)
    return found


def tables(text: str) -> list[list[list[str]]]:
    """The cells of each table in Markdown."""
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    return [[re.split(r"(?<!\\)\|", line)[1:-1] for line in block] for block in blocks]


# On a terminal


@pytest.mark.parametrize("width", [52, 80, 200])
@pytest.mark.parametrize("names", [NAMES, (*NAMES[:3], LONG)], ids=["shelf", "long"])
def test_an_audit_fits_a_terminal(names: tuple[str, ...], width: int) -> None:
    text = terminal(made(names, ("quickstart", "a study whose name is not that short, and even longer")), width)
    assert max(map(cell_len, text.splitlines())) <= width
    assert "…" not in text
    assert not any(line != line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("width", [80, 200])
def test_a_line_of_a_table_is_one_line_of_the_terminal(width: int) -> None:
    """Of a usual one: where it is narrower, names and intervals are folded."""
    lines = grids(terminal(made(), width))[0]
    assert sum(line.startswith(NAMES) for line in lines) == len(NAMES)
    assert not any(line.startswith(" ") for line in lines)
    assert all(re.search(r"\d\.\d{3} +\d/1$", line) for line in lines if line.startswith(NAMES))


def test_each_table_has_a_line_for_each_selector_that_it_has_something_to_say_of() -> None:
    found = made()
    trials, configurations, checkpoints, stopping = (section.lines(found.overall) for section in SECTIONS)
    named = {*NAMES}
    assert {line[0] for line in trials} == {*named, ORACLE_MIOU}
    assert {line[0] for line in configurations} == named
    assert {line[0] for line in checkpoints} == {*named - COMPARING, ORACLE_MIOU, LAST}
    assert {line[0] for line in stopping} == {*named, ORACLE_MIOU}
    for section in SECTIONS:
        assert {len(line) for line in section.lines(found.overall)} == {len(section.head)}


def test_the_best_comes_first() -> None:
    found = made()
    for section in SECTIONS:
        regrets = [float(line[section.head.index("regret")]) for line in section.lines(found.overall)]
        assert regrets == sorted(regrets)
        assert regrets[0] < regrets[-1] or section.title.startswith("Checkpoints")


def test_what_is_not_known_is_a_dash() -> None:
    alike = {"alike": [0.5] * 4}
    found = audit([*confirmed("FDA", 0, [0.1] * 4, alike), *confirmed("FDA", 1, [0.2] * 4, alike)], selectors("alike"))
    text = terminal(found)
    assert "nan" not in text
    assert re.search(rf"^alike +{NONE} ", text, re.MULTILINE)
    assert "nan" not in markdown(found, [])


def test_a_table_without_a_line_is_left_out() -> None:
    text = terminal(made(confirms=False))
    assert "Configurations" in text
    assert "Trials:" not in text
    assert "Checkpoints:" not in text
    assert "## Trials" not in markdown(made(confirms=False), [])


def test_the_numbers_are_the_verdicts() -> None:
    found = made()
    regret = found.overall[NAMES[0]].trials
    assert regret is not None
    (line,) = (line for line in SECTIONS[0].lines(found.overall) if line[0] == NAMES[0])
    assert line[1:] == (
        f"{regret.spearman:+.2f}",
        f"{regret.mean:.3f}",
        NONE,
        f"{regret.largest:.3f}",
        f"{regret.worst}/1",
    )


def test_an_interval_over_rows_is_shown_where_there_are_enough() -> None:
    trials = [
        searched(f"row {row}", number, [0.1 * number] * 4, values(float(number * (-1) ** row), ("first",)))
        for row in range(LEAST_ROWS)
        for number in (1, 2)
    ]
    regret = audit([each for trial in trials for each in trial], selectors("first")).overall["first"].configurations
    assert regret is not None
    assert 0 <= regret.low < regret.mean < regret.high
    (line,) = SECTIONS[1].lines({"first": replace(NOTHING, configurations=regret)})
    assert line[3] == f"{regret.low:.3f} to {regret.high:.3f}"


# In files


def test_a_document_holds_everything_and_no_nan() -> None:
    found = made()

    def refused(constant: str) -> Any:
        raise AssertionError(constant)

    read = json.loads(document(found), parse_constant=refused)
    assert read.keys() == {"studies", "checkpoints", "trials", "overall", "by_study", "by_method"}
    assert read["overall"][ORACLE_MIOU]["spearman"] is None
    assert read["overall"][LAST]["trials"] is None
    trials = found.overall[NAMES[0]].trials
    assert trials is not None
    assert read["overall"][NAMES[0]]["trials"]["mean"] == trials.mean
    assert read["by_method"]["FDA"].keys() == found.overall.keys()


@pytest.mark.parametrize("studies", [("quickstart",), ("one", "other")], ids=len)
@pytest.mark.parametrize("confirms", [True, False], ids=["confirmed", "searched"])
def test_tables_in_markdown_are_rectangular(studies: tuple[str, ...], confirms: bool) -> None:
    text = markdown(made(studies=studies, confirms=confirms), ["quickstart.png"])
    found = tables(text)
    assert found
    for head, ruler, *lines in found:
        assert lines, head
        assert {len(line) for line in (ruler, *lines)} == {len(head)}
        assert all(re.fullmatch(r" ---:? ", cell) for cell in ruler)
    assert text.count("## Only ") == (len(studies) if len(studies) > 1 else 0)
    assert "![scores against mIoU](quickstart.png)" in text


def test_names_do_not_break_tables_in_markdown() -> None:
    """An own selector may be called anything that can be shown."""
    text = markdown(made((*NAMES[:2], "own/a|b")), [])
    for head, *lines in tables(text):
        assert {len(line) for line in lines} == {len(head)}


def test_an_audit_of_one_trial_says_that_nothing_can_be_chosen() -> None:
    alone = confirmed("FDA", 0, [0.1] * 4, values(1.0, NAMES))[:1]
    text, page = terminal(audit(alone, SHELVED)), markdown(audit(alone, SHELVED), [])
    assert "1 checkpoint of 1 trial, " in text
    assert "## By method" not in page
    for head, _, *lines in tables(page):
        assert lines, head
        assert {len(line) for line in lines} == {len(head)}
    assert json.loads(document(audit(alone, SHELVED)))["overall"][NAMES[0]]["trials"] is None


def test_methods_are_not_compared_by_configurations_where_no_row_has_more_than_one() -> None:
    """As after early stopping: then every selector chooses the same."""
    rising = [0.1, 0.2, 0.3, 0.4]
    trials = [searched(row, 0, rising, dict.fromkeys(NAMES, rising)) for row in ("source only", "FDA")]
    page = markdown(audit([each for trial in trials for each in trial], SHELVED), [])
    assert "Correlation over all checkpoints:" in page
    assert "configuration" not in page
