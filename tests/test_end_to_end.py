"""The whole path with real parts: a study file, Ray, Optuna, a SQLite MLflow store, records, table."""

import os
import re
import socket
from pathlib import Path

import mlflow
import pandas as pd
import psutil
import pytest
from PIL import Image

from platform.records.storage.locks import study_lock
from platform.records.store import Store
from tests.support import checkout
from tests.support.checkout import Checkout, ends, events

pytestmark = pytest.mark.slow

STUDY = '''"""Does the whole path work?"""

from platform.methods import FDA, Adversarial, SourceOnly, TargetSupervised
from platform.networks import BiSeNet18
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, LogUniform, Recipe, Study

rate = LogUniform(1e-3, 1e-1)
study = Study(
    shift=town(size=(64, 64), source_images=(16, 4), target_images=(16, 4, 6)),
    arms={
        "source only": Arm(SourceOnly, learning_rate=rate),
        "light": Arm(Adversarial, lambda_adv=LogUniform(1e-4, 1e-1), width=4, separable=True),
        "FDA bands": Arm(FDA, beta=LogUniform(0.016, 0.1)),
        "fixed": Arm(FDA, beta=0.05),
        "target supervised": Arm(TargetSupervised, learning_rate=rate),
    },
    reference="source only",
    search=ASHA(trials=4, grace=0.25, reduction=2, smoothing=2),
    budget=Budget(steps=8, evaluations=4),
    seeds=2,
    recipe=Recipe(network=BiSeNet18(width=0.125), batch=2),
)
'''
ARMS = ["source only", "light", "FDA bands", "fixed", "target supervised"]
COLUMNS = ["arm", "method", "supervised", "few", "after", "selected_by", "given", "searched", "tuned"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[Checkout, str]:
    """A checkout in which the study ran to its table, and what the command printed."""
    made = checkout.make(tmp_path_factory.mktemp("finished") / "checkout", cache)
    code, output = made.study(made.write("whole.py", STUDY))
    assert code == 0, output
    return made, output


def test_table_has_a_line_per_arm_in_order(finished: tuple[Checkout, str]) -> None:
    table = pd.read_csv(finished[0].root / "results/whole/table.csv")
    assert list(table["arm"]) == ARMS
    assert list(table.columns[: len(COLUMNS)]) == COLUMNS
    assert (table["scores/seeds"] == 2).all()
    assert (table["troubles/failed"] == 0).all()
    assert list(table["effort/trials"]) == [4, 4, 4, 0, 4]
    assert table["scores/miou"].between(0, 1).all()
    assert list(table["given"].fillna("")) == ["", "width=4, separable=True", "", "beta=0.05", ""]
    assert list(table["selected_by"]) == ["target/norm_and_prior"] * 4 + ["oracle/miou"]


def test_the_terminal_fits_80_columns_and_ends_with_the_files(finished: tuple[Checkout, str]) -> None:
    lines = finished[1].splitlines()
    assert max(map(len, lines)) <= 80
    assert any("results/whole/table.md" in line for line in lines)
    assert "target supervised" in finished[1]
    assert "Traceback" not in finished[1]


def test_every_file_is_there_and_opens(finished: tuple[Checkout, str]) -> None:
    folder = finished[0].root / "results/whole"
    assert "Does the whole path work?" in (folder / "table.md").read_text()
    assert r"\toprule" in (folder / "table.tex").read_text()
    assert len(pd.read_parquet(folder / "records.parquet")) > 20
    for name in ("curves.png", "responses.png", "comparison.png"):
        assert min(Image.open(folder / name).size) > 200


def test_confirm_trials_use_fresh_seeds_and_only_they_see_the_test_split(finished: tuple[Checkout, str]) -> None:
    for lines in events(finished[0].root).values():
        trial, reports = lines[0]["trial"], [line for line in lines if line["event"] == "report"]
        tested = ["target/test" in report["confusions"] for report in reports]
        assert tested == [trial["seed"] != 0] * len(reports)


def test_a_kit_knows_from_the_records_how_many_images_there_were_and_when_it_ended(
    finished: tuple[Checkout, str], tmp_path: Path
) -> None:
    made, _ = finished
    header = Store(made.root / "results").journal("whole").header
    assert header is not None
    assert header.images == dict(
        zip(("source train", "source val", "target adapt", "target val", "target test"), (16, 4, 16, 4, 6), strict=True)
    )
    code, output = made.study("studies/whole.py", "--submission", str(tmp_path / "kit"))
    assert code == 0, output
    form = (tmp_path / "kit" / "compute_form.md").read_text()
    assert re.search(r"\| Development ended \| 20\d\d-\d\d-\d\d;", form)
    assert "16 images (source train), 16 images (target adapt)" in form


def test_asha_stops_at_rungs_with_reason_and_value(finished: tuple[Checkout, str]) -> None:
    stopped = [end for end in ends(finished[0].root) if end["state"] == "stopped"]
    assert stopped
    assert {end["step"] for end in stopped} == {4}
    assert {end["cause"] for end in stopped} == {"below the cut"}
    assert all(re.search("(norm_and_prior|oracle/miou) -?[0-9.]+ is below the cut", end["reason"]) for end in stopped)


def test_no_band_is_trained_twice_in_the_search(finished: tuple[Checkout, str]) -> None:
    trials = [lines[0]["trial"] for lines in events(finished[0].root).values()]
    bands = [
        trial["resolved"]["beta"]["band"]
        for trial in trials
        if trial["method"] == "FDA" and trial["seed"] == 0 and trial["hyperparameters"]["beta"] != 0.05
    ]
    assert len(bands) == 4
    assert len(set(bands)) == 4


def test_checkpoints_remain_of_finished_confirm_trials_only(finished: tuple[Checkout, str]) -> None:
    records = events(finished[0].root)
    kept = {path.parent.name for path in (finished[0].root / "results/trials").glob("*/checkpoint.pt")}
    assert kept == {trial for trial, lines in records.items() if lines[0]["trial"]["seed"] != 0}


def test_mlflow_holds_each_trial_once_under_one_parent(finished: tuple[Checkout, str]) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{finished[0].root}/mlflow.db")
    experiment = client.get_experiment_by_name("whole")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    trials = [run.data.tags["trial_id"] for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert len(parents) == 1
    assert sorted(trials) == sorted(events(finished[0].root))
    assert {run.info.status for run in runs} == {"FINISHED"}
    confirmed = [run for run in runs if run.data.tags["phase"] == "confirm"]
    assert {run.info.run_name for run in confirmed} == {f"{arm} seed {seed}" for arm in ARMS for seed in (1, 2)}
    for run in confirmed:
        assert {"test/miou", "source/miou", "oracle/accuracy", "learning_rate"} <= run.data.metrics.keys()
        assert "loss/cross_entropy" in run.data.metrics
        assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["prediction.png"]
    files = {file.path for file in client.list_artifacts(parents[0].info.run_id)}
    assert files >= {"whole.py", "table.md", "table.csv", "comparison.png", "records.parquet"}


def test_running_again_trains_nothing_and_gives_the_same_table(finished: tuple[Checkout, str]) -> None:
    root = finished[0].root
    before, table = events(root), (root / "results/whole/table.csv").read_bytes()
    code, output = finished[0].study("studies/whole.py")
    assert code == 0, output
    assert "begins" not in output
    assert events(root) == before
    assert (root / "results/whole/table.csv").read_bytes() == table


def test_report_needs_only_the_records(finished: tuple[Checkout, str]) -> None:
    root = finished[0].root
    table = (root / "results/whole/table.csv").read_bytes()
    (root / "results/whole/table.csv").unlink()
    code, output = finished[0].study("studies/whole.py", "--report")
    assert code == 0, output
    assert (root / "results/whole/table.csv").read_bytes() == table


@pytest.mark.parametrize(
    "change", [('reference="source only",', 'reference="source only", select="oracle/miou",'), ("steps=8", "steps=12")]
)
def test_a_change_that_would_mix_results_is_refused(finished: tuple[Checkout, str], change: tuple[str, str]) -> None:
    checkout_ = finished[0]
    study = checkout_.root / "studies/whole.py"
    study.write_text(STUDY.replace(*change))
    try:
        code, output = checkout_.study("studies/whole.py")
    finally:
        study.write_text(STUDY)
    assert code == 2
    assert output.startswith("error: ")
    assert output.count("\n") == 1
    assert "--fresh" in output


def test_a_second_process_on_a_study_is_refused(finished: tuple[Checkout, str]) -> None:
    with study_lock(finished[0].root / "results/whole"):
        code, output = finished[0].study("studies/whole.py")
    assert code == 2
    assert output == (
        f"error: whole is already running (process {os.getpid()} on {socket.gethostname()}); wait for it, or stop it\n"
    )


def test_no_process_of_a_finished_study_is_left_behind(finished: tuple[Checkout, str]) -> None:
    mark = f"XDG_CACHE_HOME={finished[0].environment['XDG_CACHE_HOME']}".encode()
    # What other tests in this process have Python's multiprocessing start lives as long as this process.
    own = {child.pid for child in psutil.Process().children()}
    left = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if mark in environment and b"pytest" not in command and int(process.name) not in own:
            left.append(command)
    assert left == []
