"""The CSV holds every field of every row, exactly."""

import csv
import io

from platform.results.aggregation import table
from platform.results.report.comma_separated import render
from tests.support.invented_study import AWKWARD, made, mishaps


def lines_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_has_a_line_per_arm_and_no_nan():
    header, asks, records, _ = made("source only", "FDA", "empty")
    asks = [each for each in asks if each.arm != "empty"]
    text = render(table(header, asks, records))
    rows = lines_of(text)
    assert [row["arm"] for row in rows] == ["source only", "FDA", "empty"]
    assert "nan" not in text.lower()
    assert rows[2]["miou"] == rows[2]["delta"] == rows[2]["iou/road"] == ""
    assert rows[2]["seeds"] == "0"
    assert rows[1]["selected_by"] == "source/miou"


def test_csv_numbers_are_exact():
    _, _, _, rows = made()
    for row, line in zip(rows.rows, lines_of(render(rows)), strict=True):
        assert (float(line["miou"]), float(line["miou_ci"])) == (row.miou, row.miou_ci)
        assert (float(line["delta"]), float(line["delta_ci"])) == (row.delta, row.delta_ci)
        assert [float(line[f"iou/{name}"]) for name in rows.groups] == list(row.iou)
        assert line["parameters"] == "12581672"


def test_csv_keeps_awkward_names_verbatim():
    _, _, _, rows = made(*AWKWARD)
    assert [line["arm"] for line in lines_of(render(rows))] == list(AWKWARD)


def test_csv_of_a_single_seed_has_empty_intervals():
    _, _, _, rows = made(seeds=1)
    line = lines_of(render(rows))[1]
    assert line["miou_ci"] == line["delta_ci"] == ""
    assert float(line["delta"]) > 0


def test_csv_says_what_went_wrong():
    lines = {line["arm"]: line for line in lines_of(render(mishaps()[3]))}
    assert [lines["FDA"][name] for name in ("failed", "failure", "causes", "flaws", "miou")] == [
        "7",
        "all trials failed",
        "4 diverged, 3 data",
        "",
        "",
    ]
    assert lines["adversarial"]["failure"] == lines["source only"]["failure"] == ""
    assert lines["adversarial"]["causes"] == "1 worker lost, 1 discriminator saturated"
    assert lines["adversarial"]["flaws"] == "1 predictions collapsed"
    assert lines["adversarial"]["halved"] == "1"
    assert len(lines["adversarial"]["reasons"].split("; ")) == 3
