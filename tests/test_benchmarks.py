"""The benchmarks run, and count what they should; how long they take is no matter here."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient

import platform.methods
import platform.networks
from benchmarks import coverage, driver, evidence, many_gpus, methods, networks, responses, slots
from benchmarks.timeline import RESET, SETUP, STEP, Call
from platform.methods import Method, TranslatedImages
from platform.networks import Architecture, BiSeNet18
from platform.records.record import Report
from platform.shifts import town
from platform.training.cost import estimate_of
from studies.quickstart import study as quickstart

ARMS, TRIALS = 2, 8


@pytest.mark.slow
def test_the_driver_benchmark_ends_every_trial_and_has_them_all_in_mlflow(tmp_path: Path) -> None:
    figures = driver.measure(driver.study(ARMS, TRIALS), tmp_path)
    assert figures.trials == ARMS * TRIALS
    assert len(figures.suggestions) > ARMS * TRIALS, "the last one says that there is no other trial"
    assert 2 * ARMS * TRIALS <= len(figures.reports) <= 4 * ARMS * TRIALS
    assert 0 < figures.ended <= figures.mirrored
    assert_mlflow_holds(ARMS * TRIALS, tmp_path)


def test_the_figures_say_per_report_and_per_second() -> None:
    figures = driver.Figures(100, [0.001] * 300, [0.002] * 110, ended=4.0, mirrored=5.0)
    assert str(figures).splitlines() == [
        "  report       median 1.00 ms, 95th percentile 1.00 ms (300 times)",
        "  suggestion   median 2.00 ms, 95th percentile 2.00 ms (110 times)",
        "    25.0 trials per second until the last trial ended",
        "    20.0 trials per second until MLflow held everything",
    ]


@pytest.mark.slow
@pytest.mark.thorough
def test_the_slots_benchmark_accounts_for_every_second(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    small = "town(size=(64, 64), source_images=(16, 4), target_images=(16, 4, 6))"
    figures = slots.measure(trials=2, steps=4, seeds=1, folder=tmp_path, shift=small)
    assert len(figures.trials) == 2 * (2 + 1)
    assert all(trained > 0 for trained in figures.trials)
    assert figures.processor > 0
    if figures.window[0] < figures.window[1]:
        assert sum(figures.shares.values()) == pytest.approx(1)
        assert min(figures.shares.values()) > -1e-6
        assert figures.shares["training"] > 0


def test_slot_time_is_divided_by_what_workers_did() -> None:
    first = [Call(SETUP, 0, 1), Call(STEP, 1, 12), Call(STEP, 13, 24)]
    first += [Call(RESET, 26, 27), Call(STEP, 27, 38), Call(STEP, 38, 49)]
    second = [Call(SETUP, 0, 1), Call(STEP, 2, 14), Call(STEP, 14, 34)]
    figures = slots.figures([second, first], [[[9, 10], [9, 10]], [[10, 19]]], processor=3.0)
    assert figures.trials == [38, 29]
    assert list(figures.window) == [14, 34], "from the second worker's first report until it has no other trial"
    assert {part: 40 * share for part, share in figures.shares.items()} == pytest.approx(
        {"training": (23 - 14) + (34 - 28) + 19, "checkpointing": 2, "starting": 2, "reporting": 0, "waiting": 2}
    )
    assert figures.taken_up == [28 - 24], "from the first trial's end until the second one trains"


def test_a_trial_is_told_apart_where_a_worker_took_it_up_again() -> None:
    taken_up = (0.5, 0.0, 0.25, 0.0)
    reports = [Report(step, float(step), {}, {}, starting=started) for step, started in enumerate(taken_up, start=1)]
    assert slots._by_stay(reports) == [[1, 2], [3, 4]]
    assert slots._by_stay([]) == [[]]


def test_a_long_trial_that_begins_before_a_short_one_asked_for_first_keeps_its_own_seconds() -> None:
    """It takes long enough for the short one's seconds as well, which nothing but the other worker's stay can have."""
    long, short = [Call(SETUP, 0, 1), Call(STEP, 1, 30)], [Call(SETUP, 0, 1), Call(STEP, 2, 10)]
    assert slots._matched([[long[1]], [short[1]]], [[7], [28]]) == {1: [28], 2: [7]}


def test_what_ray_lost_of_a_step_is_reported_and_not_counted_as_training() -> None:
    """A worker that was ended took its last step's account with it, and the time of day was set back in another's."""
    cut_off, set_back = (
        [Call(SETUP, 0, 1), Call(STEP, 1, 12), Call(STEP, 13, 24)],
        [Call(SETUP, 0, 1), Call(STEP, 2, 14)],
    )
    figures = slots.figures([cut_off, set_back], [[[10, 10, 7]], [[12.5]]], processor=3.0)
    assert figures.unaccounted == 7.5
    last = "  Ray's account of its workers lacks 7.5 s of training, shown as waiting"
    assert str(figures).splitlines()[-1] == last
    assert list(figures.window) == [14, 14]
    figures = slots.figures(
        [[*cut_off, Call(RESET, 24, 25), Call(STEP, 25, 36)], set_back], [[[10, 9], [9]], [[12.5]]], 3.0
    )
    assert figures.unaccounted == 0.5


def test_a_trial_that_ray_lost_whole_and_one_that_failed_before_its_first_report_end_no_benchmark() -> None:
    kept, failed = [Call(SETUP, 0, 1), Call(STEP, 1, 12)], [Call(SETUP, 0, 2), Call(STEP, 2, 3)]
    figures = slots.figures([kept], [[[10]], [[7]]], processor=3.0)
    assert (figures.unaccounted, figures.workers) == (7, 1)
    figures = slots.figures([kept, failed], [[[10]], [[]]], processor=3.0)
    assert (figures.unaccounted, figures.workers) == (0, 2)


def test_reports_that_ray_lost_are_reported() -> None:
    figures = many_gpus.Figures(trials=3, slots=1, reports=[0.1] * 3)
    many_gpus._look(figures, [[Call(SETUP, 0, 1), Call(STEP, 1, 2), Call(RESET, 2, 3), Call(STEP, 3, 4)]])
    assert (figures.workers, figures.unaccounted, list(figures.free)) == (1, 1, [1])
    assert str(figures).splitlines()[0].endswith("; reports that Ray's account lacks: 1")


@pytest.mark.slow
@pytest.mark.thorough
def test_the_gpu_benchmark_ends_every_trial_and_has_them_all_in_mlflow(tmp_path: Path) -> None:
    figures = many_gpus.measure(many_gpus.study(ARMS, TRIALS), 0.4, tmp_path, nodes=2, gpus=2)
    assert figures.trials == len(figures.suggestions) == ARMS * TRIALS
    assert 2 * ARMS * TRIALS <= len(figures.reports) <= 4 * ARMS * TRIALS
    assert figures.slots == 4
    seen = ARMS * TRIALS - figures.unaccounted
    assert figures.workers >= seen - len(figures.free), "each worker's first trial follows none"
    assert figures.unaccounted < ARMS * TRIALS
    assert 0 <= figures.busy <= 1
    assert_mlflow_holds(ARMS * TRIALS, tmp_path)


def test_the_benchmark_of_methods_has_every_method() -> None:
    exported = {entry for entry in vars(platform.methods).values() if isinstance(entry, type)}
    shown = {type(method) for row in methods.ROWS.values() for method in row.composition.methods}
    # Steps on images that another program has translated are those of source only.
    assert {entry for entry in exported if issubclass(entry, Method)} - {Method, TranslatedImages} == shown
    for row in methods.ROWS.values():
        assert estimate_of(*row.published()).deployed_parameters > 0
    # Exact counts take seconds each.
    compared = ("source only", "MinEnt", "AdaBN after source only", "adversarial, separable", "adversarial")
    cost = {name: methods.ROWS[name].cost().step_gflops for name in (*compared, "two discriminators")}
    assert cost["MinEnt"] == pytest.approx(2 * cost["source only"])
    # A pass without gradients: of those with, the images' is not taken.
    assert 1 / 3 < cost["AdaBN after source only"] / cost["source only"] < 0.35
    assert cost["source only"] < cost["adversarial, separable"] < cost["adversarial"] < cost["two discriminators"]


def test_the_benchmark_of_methods_times_steps(capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    try:
        methods.measure({name: methods.ROWS[name] for name in ("MinEnt", "AdaBN after source only")}, pairs=1)
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
    *_, header, minent, statistics = capsys.readouterr().out.splitlines()
    assert header.split()[-1] == "time"
    assert float(minent.split()[-1]) > 0
    assert statistics.split()[-2] == "0.34"


def test_the_benchmark_of_networks_has_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    exported = {entry for entry in vars(platform.networks).values() if isinstance(entry, type)}
    shown = {type(architecture) for architecture in networks.NETWORKS.values()}
    assert {entry for entry in exported if issubclass(entry, Architecture)} - {Architecture} == shown
    networks.measure({"BiSeNet": BiSeNet18()}, (64, 128))
    *_, line = capsys.readouterr().out.splitlines()
    assert line.split()[:4] == ["BiSeNet", "12,054,042", "12,581,672", "50.89"]
    assert float(line.split()[-1]) > 0


def test_the_benchmark_of_evidence_times_evaluations_with_and_without(capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    few = town(size=(64, 64), source_images=(8, 2), target_images=(8, 8, 2))
    try:
        evidence.measure(replace(quickstart, shift=few), pairs=1)
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
    without, beside, judged = capsys.readouterr().out.splitlines()
    assert float(without.split()[-2]) > 0
    assert float(beside.split()[-4]) > 0
    assert float(judged.split()[-2]) > 0


def assert_mlflow_holds(trials: int, folder: Path) -> None:
    """Every trial has its run, besides the study's own, and all have ended."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name(driver.NAME)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 1 + trials
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_the_coverage_benchmark_says_what_holds_and_what_does_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["coverage", "--studies", "60"])
    coverage.main()
    shares = {
        line[:60].strip(): [float(share.rstrip("%")) for share in line[60:].split() if share.endswith("%")]
        for line in capsys.readouterr().out.splitlines()
        if "%" in line[60:]
    }
    assert len(shares) == 22
    assert min(shares["Student-t, normal"]) >= 85
    assert shares["BCa, widened levels, normal"][0] <= 90, "three values have a range that holds the truth in 75 of 100"
    assert shares["rliable's bootstrap of runs above, normal: not used"][0] <= 60
    assert max(shares["a p of at most 0.05 to the reference, normal"]) <= 15
    assert shares["an interval that excludes 0: not used"][0] > 15
    assert max(shares["a mark of any kind, or a wrong rank, normal"]) <= 30, "of seven tables"
    assert max(shares["none differs, a p of at most 0.05, normal"]) <= 30, "of fifteen races"
    assert min(shares["an interval of a difference that holds the truth"]) >= 70
    assert min(shares["its p is at most 0.05"]) >= 60


def test_the_benchmark_of_responses_says_how_often_the_band_holds_and_which_field_comes_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responses, "NUMBERS", (8, 20))
    monkeypatch.setattr(responses, "RESPONSES", responses.RESPONSES[3:4])
    monkeypatch.setattr(responses, "IMPORTANCES", responses.IMPORTANCES[:1])
    responses.print_responses(8)
    responses.print_importances(4)
    at_random, proposed, first, *_ = (line for line in capsys.readouterr().out.splitlines() if line.endswith("%"))
    for line in (at_random, proposed):
        held_by_8, _, held_by_20, _ = (int(share.rstrip("%")) for share in line.split()[-4:])
        assert min(held_by_8, held_by_20) >= 70
    assert int(first.split()[-3].rstrip("%")) >= 75, "of twenty trials, a field with 80 % of the variance comes first"
