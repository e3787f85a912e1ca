"""The CSV holds every field of every row, exactly."""


from invented_study import AWKWARD, made

from platform.report.comma_separated import render
from platform.results import table


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
