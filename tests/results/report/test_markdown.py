"""The Markdown page is whole whatever a name holds, and tells how to read it."""

import dataclasses
import re
from collections.abc import Callable

import pytest

from platform.results.lines import NONE
from platform.results.report import latex, terminal
from platform.results.report.markdown import render
from platform.results.report.page.responses import of_fields
from platform.results.responses.kriging import Response
from platform.results.table import Speed, Table
from platform.search.importance.ped_anova import Importance
from platform.shifts.labels import CAMVID_11
from tests.support.invented_study import AWKWARD, arm, ask, full, made, mishaps, record, study
from tests.support.seen_alike import tabulate


def test_markdown_begins_with_the_question() -> None:
    _, _, _, rows = made(question="\n    Which one?\n\n    And why?\n    ")
    assert render(rows).startswith("# invented\n\nWhich one?\n\nAnd why?\n\n| arm | mIoU |")


def test_of_the_question_every_character_can_be_shown() -> None:
    _, _, _, rows = made(question="Which\x1b[31m one?\n\nAnd\u202e why?")
    assert render(rows).startswith("# invented\n\nWhich\\x1b[31m one?\n\nAnd\\u202e why?\n\n| arm | mIoU |")


def test_markdown_tables_are_whole_whatever_the_names() -> None:
    _, _, _, rows = made(*AWKWARD)
    width = 0
    for line in render(rows).splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert width in (0, cells) or cells == 0
        width = cells


def test_markdown_tells_the_conventions_and_what_was_left_out() -> None:
    header = study(arm("source only"), seeds=2, groups=CAMVID_11)
    asks = [ask(header, "source only", "confirm", number) for number in range(2)]
    records = {each.trial.id: record(each, absent=(11,)) for each in asks}
    text = render(tabulate(header, asks, records))
    for said in (
        "11 classes; the test split never holds person: 0 where a run predicts it, else left out",
        "95 % Student-t interval over 2 seeds",
        "2 x multiply-accumulate, at 512 x 1024",
        "4 search trials",
        "Selected by source/miou",
        "| person | 0.000 |",
    ):
        assert said in text


def test_where_the_time_went_stands_row_by_row() -> None:
    *_, rows = made("source only", "FDA")
    speed = Speed(("CPU, float32", "NVIDIA L4, bfloat16"), 61.25, 0.031, 0.4, 0.25, 0.001)
    timed = dataclasses.replace(rows, rows=(rows.rows[0], dataclasses.replace(rows.rows[1], speed=speed)))
    lines = render(timed).split("## Where the time went\n\n")[1].splitlines()
    assert [line.strip("| ").split(" | ") for line in lines[:1] + lines[2:4]] == [
        ["arm", "trained on", "images/s", "waiting for images", "waiting for the device", "evaluating", "saving"],
        ["source only", *[NONE] * 6],
        ["FDA", "CPU, float32; NVIDIA L4, bfloat16", "61.2", "3%", "40%", "25%", "0%"],
    ]


def test_a_single_seed_is_no_ranking() -> None:
    _, _, _, rows = made(seeds=1)
    assert "A single seed has no interval" in render(rows)
    assert "±" not in render(rows).split("\n- ")[0]


def test_bold_only_where_a_difference_is_told_from_chance() -> None:
    *_, rows = made("source only", "FDA", "same", qualities=(0.3, 0.6, 0.3))
    assert [row.comparison.to_reference.told for row in rows.rows] == [False, True, False]
    cells = [line.split(" | ")[2] for line in render(rows).splitlines() if line.startswith("| ")]
    assert cells[2].startswith("reference")
    assert cells[3].startswith("**+")
    assert "**" not in cells[4]
    assert latex.render(rows).count(r"\textbf") == 1
    marked = [line for line in terminal.render(rows).splitlines() if " * " in line and not line.startswith("Δ")]
    assert [line.split()[0] for line in marked] == ["FDA", "source", "same"], "to the reference, and to the best"


@pytest.mark.parametrize("form", [render, terminal.render, latex.render])
def test_an_oracle_selector_catches_the_eye(form: Callable[[Table], str]) -> None:
    *_, honest = made()
    *_, oracle = made(select="oracle/miou")
    assert "ORACLE SELECTION" in form(oracle)
    assert "ORACLE" not in form(honest)


def rows_of(text: str, title: str) -> dict[str, list[str]]:
    """The rows of the table under a title, by arm."""
    lines = text.split(title)[1].split("\n\n## ")[0].splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return {name: rest for name, *rest in cells}


def test_markdown_marks_what_went_wrong() -> None:
    text = render(mishaps()[3])
    scores = rows_of(text, "# invented")
    assert scores["FDA"][0] == "**all failed**"
    assert scores["FDA"][-1] == "0 of 3"
    assert scores["adversarial"][-1] == "2 of 3 (1 predictions collapsed)"
    assert "- FDA: all 7 trials failed, which leaves no score: 4 diverged, 3 data\n" in text
    assert "- adversarial: 1 of 4 search trials failed: 1 worker lost\n" in text
    assert "- adversarial: 1 of 3 seeds missing (1 failed: 1 discriminator saturated)\n" in text
    assert text.count("images/0007.png ends early") == 1


@pytest.mark.parametrize(
    ("smoothing", "value"),
    [(3, "the selector's mean over its last 3 evaluations"), (1, "the selector at its last evaluation")],
)
def test_markdown_says_how_rungs_are_judged(smoothing: int, value: str) -> None:
    text = render(made(smoothing=smoothing)[3])
    assert "judged after 100 and 200 steps" in text
    assert f"one goes on if {value} is among the best 1/2 of its arm's trials there so far" in text


def test_markdown_says_that_trials_wait_at_rungs() -> None:
    text = render(made(promote=True)[3])
    assert "one waits there until the selector's mean over its last 3 evaluations is among the best 1/2" in text


def test_a_study_that_stops_nothing_tells_of_no_rungs() -> None:
    assert "judged" not in render(made(rungs=(), smoothing=0, reduction=0)[3])


def test_a_study_without_ranges_says_that_nothing_is_searched() -> None:
    header = study(arm("source only", searched={}), arm("FDA", searched={}))
    text = render(tabulate(header, *full(header, {"source only": 0.4, "FDA": 0.6})))
    assert "Budget: 400 steps a run; no arm has ranges, so that nothing is searched." in text
    assert "search trials, the published default first" not in text
    assert "judged after" not in text
    assert "What the search says" not in text


def test_what_the_search_says_of_a_field_stands_in_a_line() -> None:
    *_, table = made("source only", "FDA")
    fitted = Response((0.3, 0.5, 0.41), (0.1, 0.4, 0.2), (0.5, 0.62, 0.6), 0.021)
    told = dataclasses.replace(
        table.searched[1],
        at=(0.001, 0.01, 0.05),
        response=fitted,
        importance=Importance(0.68, 0.005),
        alone=False,
        default=0.025,
        chosen=0.0117,
    )
    text = "\n\n".join(of_fields([told], table.header.rungs))
    assert rows_of(text, "## What the search says of each field")["FDA"] == [
        r"learning\_rate",
        "0.025",
        "0.0117",
        "2 of 4",
        "68%, p 0.005",
        "0.300 ± 0.200 at 0.001",
        "0.500 ± 0.120 at 0.01",
        "0.021",
    ]
    assert "No response of" not in text
    assert "No importance of" not in text


def test_of_too_few_trials_a_sentence_says_why_nothing_is_said() -> None:
    *_, table = made("source only", "FDA")
    line = rows_of(render(table), "## What the search says of each field")["FDA"]
    assert line[3:] == ["2 of 4", NONE, NONE, NONE, NONE]
    assert "- No response of any row: a band from fewer than 8 complete trials cannot be trusted." in render(table)
    assert "importance of" not in render(table), "rows of one field have none"
    several = dataclasses.replace(table.searched[1], alone=False)
    assert "- No importance of FDA: with fewer than 20 complete trials fields would often stand" in "\n\n".join(
        of_fields([several], table.header.rungs)
    )


def test_means_over_19_16_and_13_classes_stand_side_by_side() -> None:
    *_, table = made("source only", "FDA")
    rows = rows_of(render(table), "## mIoU over 19, 16 and 13 classes")
    assert rows["arm"] == ["19 classes", "16 classes", "13 classes"]
    scores = table.rows[1].scores
    assert rows["FDA"] == [f"{mean:.3f} ± {half:.3f}" for mean, half in scores.miou_over.values()]
    assert scores.miou_over[19] == pytest.approx((scores.miou, scores.miou_ci))


def test_classes_that_the_ground_truth_does_not_tell_apart_have_no_section() -> None:
    *_, table = made("source only", groups=CAMVID_11)
    assert "19, 16 and 13" not in render(table)
