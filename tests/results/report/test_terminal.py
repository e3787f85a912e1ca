"""The terminal's table fits, says what went wrong, and takes no name for markup."""

import pytest
from rich.cells import cell_len

from platform.results.report.terminal import render
from tests.support.invented_study import AWKWARD, made, mishaps
from tests.support.seen_alike import tabulate


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    _, _, _, rows = made(*AWKWARD)
    assert max(map(cell_len, render(rows, width).splitlines())) <= width


def test_terminal_shows_each_arm_of_a_usual_name_on_one_line() -> None:
    _, _, _, rows = made("source only", "lightweight adversarial", "target supervised")
    text = render(rows)
    for row in rows.rows:
        (scores,) = [
            line for line in text.splitlines() if line.startswith(row.arm) and f"{row.scores.miou:.3f}±" in line
        ]
        assert f"{row.scores.accuracy:.3f}" in scores
        assert "12.6M" in scores
    assert "target supervised †" in text
    assert "an upper bound" in text


def test_terminal_says_what_is_missing() -> None:
    header, asks, records, _ = made()
    del records[asks[-1].trial.id]
    assert "! FDA: 1 of 3 seeds missing" in render(tabulate(header, asks, records))


def test_terminal_takes_markup_for_text() -> None:
    _, _, _, rows = made("[bold]x[/bold]", "[/]")
    assert "[bold]x[/bold]" in render(rows)


def test_terminal_marks_what_went_wrong() -> None:
    text = render(mishaps()[3])
    assert max(map(len, text.splitlines())) <= 80
    scores, differences, efforts = (line for line in text.splitlines() if line.startswith("FDA  "))
    assert scores.split()[:3] == ["FDA", "all", "failed"]
    assert differences.split() == ["FDA", *["–"] * 5]  # noqa: RUF001
    assert efforts.split()[-2] == "7"
    flat = " ".join(text.split())
    for said in (
        "! FDA: all 7 trials failed, which leaves no score: 4 diverged, 3 data",
        "! adversarial: 1 of 4 search trials failed: 1 worker lost",
        "! adversarial: waits for search trial 0 (worker lost)",
        "the same command tries it again",
        "1 predictions collapsed (seed 2): counted",
        "with their batches in halves",
    ):
        assert said in flat
    assert flat.count("images/0007.png ends early") == 1
