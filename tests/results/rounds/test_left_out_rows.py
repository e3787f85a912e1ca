"""Rows that a path never came to: whoever makes something of the records leaves them out, as the table does."""

import math
from pathlib import Path

from platform.records.record import Record
from platform.results.figures.curves import curves
from platform.results.report import latex, markdown, terminal
from platform.results.reselection import reselected
from platform.results.submission.checklist import checklist
from platform.results.submission.compute_form import compute_form
from platform.results.submission.facts import facts
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
