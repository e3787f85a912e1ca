"""Names and places that fit a terminal and move no cursor."""

from pathlib import Path

import pytest
from rich.cells import cell_len

from platform.commands.terminal.text import short, shown


def test_long_names_that_end_differently_stay_apart() -> None:
    names = [short(f"adversarial lambda_adv={weight}") for weight in ("0.0001", "0.0003")]
    assert names == ["adversaria..a_adv=0.0001", "adversaria..a_adv=0.0003"]


@pytest.mark.parametrize("columns", [8, 15, 24])
def test_names_fit_in_cells_and_move_no_cursor(columns: int) -> None:
    for name in ("対" * 30, "e\N{COMBINING ACUTE ACCENT}" * 40, "a\tb\x1b[2Jc" * 9, "x" * 8):
        assert 0 < cell_len(short(name, columns)) <= columns
        assert short(name, columns).isprintable()


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("{here}/results/fda_beta", "results/fda_beta"),
        ("{here}", "."),
        ("{here}-elsewhere/results", "{here}-elsewhere/results"),
        ("results", "results"),
        ("s3://bucket/prefix/fda_beta", "s3://bucket/prefix/fda_beta"),
    ],
)
def test_a_place_is_shown_as_a_user_would_type_it(
    place: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown(place.format(here=tmp_path)) == text.format(here=tmp_path)
