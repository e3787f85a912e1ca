"""The CSV holds every field of every row, exactly."""

import csv
import io

import pandas as pd

from platform.results.report.comma_separated import render
from tests.support.invented_study import AWKWARD, made, mishaps
from tests.support.seen_alike import tabulate


def lines_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_has_a_line_per_arm_and_no_nan() -> None:
    header, asks, records, _ = made("source only", "FDA", "empty")
    asks = [each for each in asks if each.arm != "empty"]
    text = render(tabulate(header, asks, records))
    rows = lines_of(text)
    assert [row["arm"] for row in rows] == ["source only", "FDA", "empty"]
    assert "nan" not in text.lower()
    assert rows[2]["scores/miou"] == rows[2]["comparison/to_reference/miou"] == rows[2]["iou/road"] == ""
    assert rows[2]["scores/seeds"] == "0"
    assert rows[1]["selected_by"] == "source/miou"


def test_csv_numbers_are_exact() -> None:
    _, _, _, rows = made()
    for row, line in zip(rows.rows, lines_of(render(rows)), strict=True):
        assert (float(line["scores/miou"]), float(line["scores/miou_ci"])) == (row.scores.miou, row.scores.miou_ci)
        difference = float(line["comparison/to_reference/miou"]), float(line["comparison/to_reference/miou_ci"])
        assert difference == (row.comparison.to_reference.miou, row.comparison.to_reference.miou_ci)
        assert [float(line[f"iou/{name}"]) for name in rows.groups] == list(row.scores.iou)
        over = [(float(line[f"miou_over/{number}"]), float(line[f"miou_over/{number}_ci"])) for number in (19, 16, 13)]
        assert over == list(row.scores.miou_over.values())
        assert line["cost/parameters"] == "12581672"


def test_csv_keeps_awkward_names_verbatim() -> None:
    _, _, _, rows = made(*AWKWARD)
    assert [line["arm"] for line in lines_of(render(rows))] == list(AWKWARD)


def test_csv_holds_no_formula() -> None:
    names = ("+ entropy", "-1", "=HYPERLINK(1)", "@SUM(1)", " =1+1", "＝1", "'quoted'", "FDA")  # noqa: RUF001
    text = render(made(*names)[3])
    lines = lines_of(text)
    assert [line["arm"] for line in lines] == [*(f"'{name}" for name in names[:-1]), "FDA"]
    assert [line["arm"].removeprefix("'") for line in lines] == list(names)
    frame = pd.read_csv(io.StringIO(text))
    assert frame["comparison/to_reference/miou"].dtype == float, "a negative number is a number"
    assert (frame["comparison/to_reference/miou"] < 0).any()


def test_csv_of_a_single_seed_has_empty_intervals() -> None:
    _, _, _, rows = made(seeds=1)
    line = lines_of(render(rows))[1]
    assert line["scores/miou_ci"] == line["comparison/to_reference/miou_ci"] == ""
    assert float(line["comparison/to_reference/miou"]) > 0


def test_csv_says_what_went_wrong() -> None:
    lines = {line["arm"]: line for line in lines_of(render(mishaps()[3]))}
    assert [lines["FDA"][f"troubles/{name}"] for name in ("failed", "failure", "causes", "flaws")] == [
        "7",
        "all trials failed",
        "4 diverged, 3 data",
        "",
    ]
    assert lines["FDA"]["scores/miou"] == ""
    assert lines["adversarial"]["troubles/failure"] == lines["source only"]["troubles/failure"] == ""
    assert lines["adversarial"]["troubles/causes"] == "1 worker lost, 1 discriminator saturated"
    assert lines["adversarial"]["troubles/flaws"] == "1 predictions collapsed"
    assert lines["adversarial"]["troubles/halved"] == "1"
    assert len(lines["adversarial"]["troubles/reasons"].split("; ")) == 3
