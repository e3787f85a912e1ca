"""Reports are complete, machine-readable where they should be, and safe for whatever a name or a reason holds."""

import csv
import io
import math
import re

import numpy as np
import pandas as pd
import pytest
from invented_study import arm, ask, full, record, study
from PIL import Image
from rich.cells import cell_len

from platform import report
from platform.labels import CAMVID_11
from platform.records import PREDICTIONS, Store
from platform.results import table

AWKWARD = (
    r"\textbf{100 %} & $x_1^2$ #1 ~ <b>|</b>",
    "[first] *second* `third`",
    'FDA β=0.01 "wide", é, 中文',
    "a name that is so very long that no terminal of eighty columns could ever hold it in a single line",
    "two\nlines",
)


def made(*names, qualities=(0.3, 0.6, 0.5, 0.4, 0.7), **changes):
    header = study(*(arm(name) for name in names or ("source only", "FDA")), **changes)
    asks, records = full(header, dict(zip((entry.name for entry in header.arms), qualities, strict=False)))
    return header, asks, records, table(header, asks, records)


def lines_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def picture(folder, value, images=None):
    folder.mkdir(parents=True)
    images = np.full((2, 16, 32, 3), 90, np.uint8) if images is None else images
    truth = np.zeros((2, 32, 64), np.uint8)
    np.savez(folder / PREDICTIONS, images=images, truth=truth, prediction=np.full_like(truth, value))


# Files


def test_write_gives_every_file_and_leaves_nothing_else(tmp_path):
    header, asks, records, rows = made()
    store = Store(tmp_path)
    for each in asks:
        if each.trial.confirms:
            picture(store.trial_folder(each.trial.id), 13)
    folder = store.study_folder(header.name)
    paths = report.write(rows, header, asks, records, folder, store.trial_folder)
    assert [path.name for path in paths] == [
        "table.md",
        "table.csv",
        "table.tex",
        "records.parquet",
        "curves.png",
        "comparison.png",
    ]
    assert sorted(paths) == sorted(folder.iterdir())
    for path in paths[-2:]:
        Image.open(path).verify()


def test_writing_again_replaces_every_file(tmp_path):
    header, asks, records, rows = made()
    first = report.write(rows, header, asks, records, tmp_path / "study", tmp_path.joinpath)
    before = [path.read_bytes() for path in first]
    other = made(qualities=(0.3, 0.7))
    second = report.write(other[3], *other[:3], tmp_path / "study", tmp_path.joinpath)
    assert first == second
    assert all(old != path.read_bytes() for old, path in zip(before, second, strict=True))


def test_a_study_without_records_is_written(tmp_path):
    header = study(arm("source only"), arm("FDA"))
    paths = report.write(table(header, [], {}), header, [], {}, tmp_path, tmp_path.joinpath)
    assert [path.name for path in paths] == ["table.md", "table.csv", "table.tex", "records.parquet", "curves.png"]


def test_the_comparison_shows_the_lowest_seed_and_skips_what_it_cannot_read(tmp_path):
    header, asks, records, _ = made("source only", "FDA", "torn", "absent", "other images")
    confirm = {(each.arm, each.trial.seed): each.trial.id for each in asks if each.trial.confirms}
    picture(tmp_path / confirm["source only", 2], 1)
    picture(tmp_path / confirm["source only", 3], 2)
    picture(tmp_path / confirm["FDA", 1], 13)
    picture(tmp_path / confirm["other images", 1], 13, np.zeros((2, 16, 32, 3), np.uint8))
    (tmp_path / confirm["torn", 1]).mkdir()
    (tmp_path / confirm["torn", 1] / PREDICTIONS).write_bytes(b"PK\x03\x04 torn")
    found = report._pictures(header, asks, records, tmp_path.joinpath)
    assert {name: int(arrays["prediction"][0, 0, 0]) for name, arrays in found.items()} == {"source only": 1, "FDA": 13}


# CSV


def test_csv_has_a_line_per_arm_and_no_nan():
    header, asks, records, _ = made("source only", "FDA", "empty")
    asks = [each for each in asks if each.arm != "empty"]
    text = report.comma_separated(table(header, asks, records))
    rows = lines_of(text)
    assert [row["arm"] for row in rows] == ["source only", "FDA", "empty"]
    assert "nan" not in text.lower()
    assert rows[2]["miou"] == rows[2]["delta"] == rows[2]["iou/road"] == ""
    assert rows[2]["seeds"] == "0"
    assert rows[1]["selected_by"] == "source/miou"


def test_csv_numbers_are_exact():
    _, _, _, rows = made()
    for row, line in zip(rows.rows, lines_of(report.comma_separated(rows)), strict=True):
        assert (float(line["miou"]), float(line["miou_ci"])) == (row.miou, row.miou_ci)
        assert (float(line["delta"]), float(line["delta_ci"])) == (row.delta, row.delta_ci)
        assert [float(line[f"iou/{name}"]) for name in rows.groups] == list(row.iou)
        assert line["parameters"] == "12581672"


def test_csv_keeps_awkward_names_verbatim():
    _, _, _, rows = made(*AWKWARD)
    assert [line["arm"] for line in lines_of(report.comma_separated(rows))] == list(AWKWARD)


def test_csv_of_a_single_seed_has_empty_intervals():
    _, _, _, rows = made(seeds=1)
    line = lines_of(report.comma_separated(rows))[1]
    assert line["miou_ci"] == line["delta_ci"] == ""
    assert float(line["delta"]) > 0


# Terminal


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width):
    _, _, _, rows = made(*AWKWARD)
    assert max(map(cell_len, report.terminal(rows, width).splitlines())) <= width


def test_terminal_shows_each_arm_of_a_usual_name_on_one_line():
    _, _, _, rows = made("source only", "lightweight adversarial", "target supervised")
    text = report.terminal(rows)
    for row in rows.rows:
        (scores,) = [line for line in text.splitlines() if line.startswith(row.arm) and f"{row.miou:.3f}±" in line]
        assert f"{row.accuracy:.3f}" in scores
        assert "12.6M" in scores
    assert "target supervised †" in text
    assert "an upper bound" in text


def test_terminal_says_what_is_missing():
    header, asks, records, _ = made()
    del records[asks[-1].trial.id]
    assert "! FDA: 1 of 3 seeds missing" in report.terminal(table(header, asks, records))


def test_terminal_takes_markup_for_text():
    _, _, _, rows = made("[bold]x[/bold]", "[/]")
    assert "[bold]x[/bold]" in report.terminal(rows)


# Markdown


def test_markdown_begins_with_the_question():
    _, _, _, rows = made(question="\n    Which one?\n\n    And why?\n    ")
    assert report.markdown(rows).startswith("# invented\n\nWhich one?\n\nAnd why?\n\n| arm | mIoU |")


def test_markdown_tables_are_whole_whatever_the_names():
    _, _, _, rows = made(*AWKWARD)
    width = 0
    for line in report.markdown(rows).splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert width in (0, cells) or cells == 0
        width = cells


def test_markdown_tells_the_conventions_and_what_was_left_out():
    header = study(arm("source only"), seeds=2, groups=CAMVID_11)
    asks = [ask(header, "source only", "confirm", number) for number in range(2)]
    records = {each.trial.id: record(each, absent=(11,)) for each in asks}
    text = report.markdown(table(header, asks, records))
    for said in (
        "10 of 11 classes, without person, which the test split never holds",
        "95 % Student-t interval over 2 seeds",
        "2 x multiply-accumulate, at 512 x 1024",
        "4 search trials",
        "Selected by source/miou",
        "| person | – |",  # noqa: RUF001
    ):
        assert said in text


def test_a_single_seed_is_no_ranking():
    _, _, _, rows = made(seeds=1)
    assert "A single seed has no interval" in report.markdown(rows)
    assert "±" not in report.markdown(rows).split("\n- ")[0]


def test_bold_only_where_the_interval_excludes_zero():
    *_, rows = made("source only", "FDA", "same", qualities=(0.3, 0.6, 0.3))
    assert [row.differs for row in rows.rows] == [False, True, False]
    cells = [line.split(" | ")[2] for line in report.markdown(rows).splitlines() if line.startswith("| ")]
    assert cells[2].startswith("reference")
    assert cells[3].startswith("**+")
    assert "**" not in cells[4]
    assert report.latex(rows).count(r"\textbf") == 1
    scores = [line for line in report.terminal(rows).splitlines() if "±" in line and " * " in line and "Δ" not in line]
    assert [line.split()[0] for line in scores] == ["FDA"]


@pytest.mark.parametrize("form", [report.markdown, report.terminal, report.latex])
def test_an_oracle_selector_catches_the_eye(form):
    *_, honest = made()
    *_, oracle = made(select="oracle/miou")
    assert "ORACLE SELECTION" in form(oracle)
    assert "ORACLE" not in form(honest)


# LaTeX


def latex_rows(text):
    body = text.split("\\midrule\n")[1].split("\n\\bottomrule")[0]
    return [line.removesuffix(r" \\") for line in body.splitlines()]


def test_latex_rows_have_as_many_cells_as_the_tabular_has_columns():
    _, _, _, rows = made(*AWKWARD)
    text = report.latex(rows)
    (columns,) = re.findall(r"\\begin\{tabular\}\{(\w+)\}", text)
    lines = latex_rows(text)
    assert len(lines) == len(rows.rows)
    assert all(len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1 for line in lines)


def test_latex_has_no_character_that_would_not_compile():
    _, _, _, rows = made(*AWKWARD, question="50 % of {what}? \\input{x} #1 a_b ^ ~")
    body = report.latex(rows).split("\n", 1)[1]
    assert not re.search(r"(?<!\\)[#%]|[~^]|\\input", body)
    without_escapes = re.sub(r"\\[{}&%$#_]", "", body)
    depth = 0
    for character in without_escapes:
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert depth == 0
    assert without_escapes.count("$") % 2 == 0
    # Subscripts outside of formulas are what an unescaped underscore would be.
    assert "_" not in re.sub(r"\$[^$]*\$", "", without_escapes)
    assert not [line for line in latex_rows(body) if line.lstrip().startswith(("[", "*"))]
    assert "β" not in body
    assert r"$\beta$" in body


def test_latex_prints_a_minus_as_a_minus():
    _, _, _, rows = made(qualities=(0.6, 0.3))
    assert re.search(r"\\textbf\{\$-\$0\.\d{3} \$\\pm\$ 0\.\d{3}\}", report.latex(rows))


# Parquet


def read(content):
    return pd.read_parquet(io.BytesIO(content))


def test_parquet_has_a_line_per_report_with_all_that_a_trial_is():
    _, asks, records, _ = made()
    frame = read(report.parquet(asks, records))
    assert len(frame) == sum(len(record.reports) for record in records.values())
    last = frame[(frame.arm == "FDA") & (frame.phase == "confirm") & (frame.seed == 3)].iloc[-1]
    run = records[asks[-1].trial.id]
    assert last.trial == asks[-1].trial.id
    assert (last.step, last.state, last.number) == (1000, "complete", 2)
    assert last["source/miou"] == run.reports[-1].metrics["source/miou"]
    assert last["hyperparameter/beta"] == 0.0117
    assert last["recipe/learning_rate"] == 0.031
    assert last["resolved/beta/band"] == 6
    assert last["cost/parameters"] == 12_581_672
    assert np.array_equal(last["confusion/target/test"].reshape(20, 20), run.reports[-1].confusions["target/test"])
    assert frame["confusion/target/test"].notna().sum() == 6


def test_parquet_gives_the_table_again():
    _, asks, records, rows = made()
    frame = read(report.parquet(asks, records))
    counts = frame.groupby("arm", sort=False)["confusion/target/test"].apply(lambda column: np.stack(column.dropna()))
    for row in rows.rows:
        matrices = counts[row.arm].reshape(-1, 20, 20)[:, :19]
        right = np.diagonal(matrices, axis1=1, axis2=2)
        union = matrices.sum(2) + matrices.sum(1)[:, :19] - right
        assert (right / union).mean() == pytest.approx(row.miou)


def test_parquet_of_nothing_has_its_columns():
    frame = read(report.parquet([], {}))
    assert list(frame.columns) == list(report.LEADING)
    assert len(frame) == 0


def test_parquet_keeps_trials_that_never_reported():
    _, asks, records, _ = made()
    records[asks[0].trial.id] = record(asks[0], state="failed", reason="out of memory", reports=0)
    del records[asks[1].trial.id]
    frame = read(report.parquet(asks, records)).set_index("trial")
    assert frame.loc[asks[0].trial.id, ["state", "reason"]].tolist() == ["failed", "out of memory"]
    assert math.isnan(frame.loc[asks[0].trial.id, "step"])
    assert pd.isna(frame.loc[asks[1].trial.id, "state"])


def test_parquet_lists_a_repeated_ask_once():
    _, asks, records, _ = made()
    assert report.parquet(asks + asks, records) == report.parquet(asks, records)


def test_fields_of_one_name_and_two_types_become_text():
    header = study(arm("a", searched={}), arm("b", searched={}), seeds=1)
    asks = [
        ask(header, "a", "confirm", 0, hyperparameters={"window": 3}),
        ask(header, "b", "confirm", 0, hyperparameters={"window": "hann"}),
    ]
    assert read(report.parquet(asks, {}))["hyperparameter/window"].tolist() == ["3", '"hann"']
