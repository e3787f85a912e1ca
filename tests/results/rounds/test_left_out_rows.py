"""Rows that a path never came to: whoever makes something of the records leaves them out, as the table does."""

import dataclasses
import math
from pathlib import Path

from platform.design.ablation.designs import of_every_row
from platform.records.record import Record
from platform.results.against.side_by_side import Side, studies
from platform.results.against.text import render
from platform.results.figures.curves import curves
from platform.results.report import latex, markdown, terminal
from platform.results.reselection import reselected
from platform.results.submission.checklist import checklist
from platform.results.submission.compute_form import compute_form
from platform.results.submission.facts import facts
from platform.study import Arm, Study
from tests.search.test_rounds import PATH, RACED, worths
from tests.support.raced_study import Book
from tests.support.seen_alike import tabulate

CLOSE = {"source only": 0.3, "FDA": 0.6, "adversarial": 0.61, "target supervised": 0.8}


def run(folder: Path) -> Book:
    book = Book(folder, PATH, worths(PATH))
    book.run()
    return book


def records(book: Book) -> dict[str, Record]:
    return {trial: record for own in book.ledger.by_arm().values() for trial, record in own.items()}


def test_pages_figures_and_the_kit_have_the_rows_of_the_table(tmp_path: Path) -> None:
    book = run(tmp_path)
    table = book.table()
    (left_out,) = PATH.arms.keys() - {row.arm for row in table.rows}
    for text in (markdown.render(table), latex.render(table), terminal.render(table)):
        assert left_out not in text
    titles = {panel.get_title().replace("\n", " ") for panel in curves(table.header, table.runs).axes}
    assert {row.arm for row in table.rows} <= titles
    assert left_out not in titles
    known = facts(book.header, book.ledger.asks, book.ledger.asks, book.ledger.by_arm())
    assert [each.row.arm for each in known.results] == [row.arm for row in table.rows]
    assert known.missing == []
    said = [section.title for section in (*compute_form(known, 0), *checklist(known))]
    assert not any(left_out in title for title in said)


def test_another_selector_asks_for_no_row_that_nobody_trained(tmp_path: Path) -> None:
    book = run(tmp_path)
    other = reselected(
        book.ledger.store, book.header, book.ledger.asks, book.ledger.by_arm(), "target/effective_classes", ""
    )
    known = {trial: record for own in other.records.values() for trial, record in own.items()}
    table = tabulate(other.header, other.asks, known)
    assert [row.arm for row in table.rows] == [row.arm for row in book.table().rows]


def test_another_selector_counts_the_seeds_that_rows_raced_for(tmp_path: Path) -> None:
    book = Book(tmp_path, RACED, CLOSE)
    book.run()
    other = reselected(book.ledger.store, book.header, book.ledger.asks, book.ledger.by_arm(), "source/miou", "")
    known = {trial: record for own in other.records.values() for trial, record in own.items()}
    table = tabulate(other.header, other.asks, known)
    assert [row.scores.seeds for row in table.rows] == [row.scores.seeds for row in book.table().rows]
    assert [row.troubles.seeds_missing for row in table.rows] == [0, 0, 0, 0]
    assert not any(math.isnan(row.scores.miou) for row in table.rows)


def side(book: Book, label: str) -> Side:
    by_arm = book.ledger.by_arm()
    return Side(label, book.header, book.ledger.asks, by_arm, records(book))


def test_two_studies_are_compared_in_the_rows_that_both_have_trained(tmp_path: Path) -> None:
    path = run(tmp_path / "path")
    every = Book(tmp_path / "every", dataclasses.replace(PATH, arms=of_all(PATH)), worths(PATH))
    every.run()
    both = studies(side(path, "path"), side(every, "every"))
    assert [row.name for row in both.rows] == [row.arm for row in path.table().rows]
    (left_out,) = PATH.arms.keys() - {row.arm for row in path.table().rows}
    assert any(left_out in line for line in both.alone[1])


def of_all(study: Study) -> dict[str, Arm]:
    """The arms of a path as those of all combinations."""
    cells = {name: arm.cell for name, arm in study.arms.items()}
    return {
        name: arm if (cell := cells[name]) is None else arm.again(cell=of_every_row(cell))
        for name, arm in study.arms.items()
    }


def test_a_race_on_either_side_costs_its_looks(tmp_path: Path) -> None:
    raced = Book(tmp_path / "raced", RACED, CLOSE)
    fixed = Book(tmp_path / "fixed", dataclasses.replace(RACED, race_from=None), CLOSE | {"FDA": 0.5})
    for book in (raced, fixed):
        book.run()
    both = studies(side(raced, "raced"), side(fixed, "fixed"))
    assert both.looks == 3
    assert "looks" in {mismatch.name for mismatch in both.everywhere}
    assert "p and ± are adjusted for 3 pairs of looks" in " ".join(render(both).split())
