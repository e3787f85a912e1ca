"""The view of where a study stands: it fits, it folds, it is read without colours."""

import io
import re

import pytest
from rich.console import Console

from platform.commands.terminal.standing import Standing
from platform.commands.terminal.view import about, view
from tests.support.told import ask, standing, tell


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "under a minute"),
        (61, "about 2 min"),
        (12 * 60, "about 15 min"),
        (89 * 60, "about 90 min"),
        (100 * 60, "about 2 h"),
        (2.2 * 3600, "about 2.5 h"),
        (7.2 * 3600, "about 8 h"),
        (37 * 3600, "about 2 days"),
    ],
)
def test_a_duration_says_no_more_than_is_known(seconds: float, text: str) -> None:
    assert about(seconds) == text


def busy(arms: int) -> Standing:
    """A study in the middle, with long and wide names."""
    names = ["source only", "adversarial lambda_adv=0.0003", "対" * 20, *(f"FDA beta={n}" for n in range(arms))][:arms]
    study = standing(dict.fromkeys(names, (12, 5)))
    for name in names[: arms - 2] or names:
        for number in range(12):
            tell(study, 0.0, "begin", ask(name, number=number))
            tell(study, 60.0, "report", ask(name, number=number), 40)
            tell(study, 60.0, "end", ask(name, number=number), 40, "stopped" if number else "failed")
    tell(study, 60.0, "begin", ask(names[-1]))
    return study


@pytest.mark.parametrize("arms", [1, 2, 6, 12, 40])
@pytest.mark.parametrize("size", [(80, 24), (200, 60), (79, 24), (60, 15), (40, 10), (12, 5), (1, 2)])
def test_the_view_fits(arms: int, size: tuple[int, int]) -> None:
    frame = view(busy(arms), "a study with a long name " * 5, "source/miou", 12_345, size)
    assert len(frame) < size[1], "the cursor takes a line too"
    assert all(line.cell_len <= min(size[0], 80) for line in frame)


def test_the_view_at_80_columns() -> None:
    study = standing({"source only": (0, 5), "FDA beta=0.01": (12, 5)})
    for number in range(3):
        asked = ask("source only", "confirm", number)
        tell(study, 0.0, "begin", asked)
        tell(study, 100.0, "end", asked, 50, "complete")
    tell(study, 100.0, "begin", ask("FDA beta=0.01"))
    tell(study, 100.0, "end", ask("FDA beta=0.01", number=1), 20, "stopped")
    tell(study, 200.0, "report", ask("FDA beta=0.01"), 25)
    # One at a time: 2 s for each of 200 steps of the source-only arm; 4 s for each of the other's, 75 of the trial that
    # runs, 10 x 60 to search and 5 x 100 to confirm: 5,100 s.
    assert [line.plain for line in view(study, "fda_beta", "source/miou", "1 trial with 3 reports", (80, 24))] == [
        "",
        "fda_beta  source/miou                                          about 85 min left",
        "",
        "row                                ended running stopped failed   best confirm",
        "source only              ━━━━━────   3/5       0       0      0      -   0.500",
        "FDA beta=0.01            ─────────  1/17       1       1      0  0.250       -",
        "all rows                 ━────────  4/22       1       1      0",
        "",
        "1 running   0.25 steps/s   owed to MLflow: 1 trial with 3 reports",
    ]


def test_twelve_arms_have_a_row_each_on_24_lines() -> None:
    frame = view(busy(12), "study", "source/miou", 0, (80, 24))
    assert sum("12/17" in line.plain or "0/17" in line.plain for line in frame) == 12
    assert not any("more rows" in line.plain for line in frame)


def test_rows_without_room_are_folded_but_not_those_that_run() -> None:
    text = "\n".join(line.plain for line in view(busy(40), "study", "source/miou", 0, (80, 24)))
    assert "FDA beta=36" in text, "the one that runs"
    folded = re.search(r"(\d+) more rows .* (\d+)/(\d+) ", text)
    assert folded is not None
    assert text.count("/17 ") + int(folded[1]) == 40
    assert int(folded[3]) == 17 * int(folded[1])


def test_an_upper_bound_is_marked_with_what_picks_it() -> None:
    study = Standing(
        {"FDA": (1, 1), "supervised": (1, 1)}, 100, lambda arm: f"{'oracle' if arm[0] == 's' else 'source'}/miou"
    )
    for arm in study.arms:
        tell(study, 0.0, "end", ask(arm), 50, "complete")
    text = [line.plain for line in view(study, "study", "source/miou", 0, (80, 24))]
    assert "study  source/miou, * oracle/miou" in text[1]
    assert "0.500 " in text[4]
    assert "0.900*" in text[5]


def test_the_end_is_said() -> None:
    study = standing({"FDA": (0, 1)})
    tell(study, 0.0, "end", ask("FDA", "confirm"), 100, "complete")
    assert "all trials ended" in view(study, "study", "source/miou", 0, (80, 24))[1].plain


@pytest.mark.parametrize("no_color", [True, False])
def test_the_view_is_read_without_colours(no_color: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard", record=True)
    frame = view(busy(6), "study", "source/miou", 0, (80, 24))
    for line in frame:
        console.print(line)
    colours = re.findall(r"\x1b\[(?:\d+;)*(?:3|9)\d", console.file.getvalue())  # type: ignore[attr-defined]
    assert bool(colours) is not no_color
    assert console.export_text() == "".join(f"{line.plain}\n" for line in frame)
    assert {line.plain.count("━") for line in frame if "/17" in line.plain} == {7 * 12 // 17, 0}
