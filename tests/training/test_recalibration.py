"""Batch norm by the target's statistics, which are taken anew at every evaluation."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from platform.methods import DACS, FDA, AdaBN, Method, PseudoLabels, SourceOnly
from platform.networks import LRASPP
from platform.networks.modes import NORMS, norms_of, recalibrate, statistics_of
from platform.shifts.shift import Images
from platform.training import evaluation
from platform.training.attempt import take_step
from platform.training.data.batches import Unsuited
from platform.training.evaluation import evaluate, recalibrated
from platform.training.given import Given, trained
from platform.training.run import Interrupted
from tests.support.attempts import (
    STEPS,
    assignment,
    attempt,
    failure_of,
    numbers,
    process_as_it_was,
    report_of,
)
from tests.support.own_methods import TEACHER, MeanTeacher
from tests.support.tiny_splits import CPU, assert_same, images, running_statistics, splits, state, training_run


@pytest.fixture(autouse=True)
def _process_as_it_was() -> Iterator[None]:
    with process_as_it_was():
        yield


def inputs_of(network: nn.Module, batch: Tensor) -> dict[str, Tensor]:
    """What each norm is given in a pass in training mode, from which nothing else is learnt."""
    twin, seen = copy.deepcopy(network), dict[str, Tensor]()
    for name, layer in twin.named_modules():
        if isinstance(layer, NORMS):
            layer.register_forward_hook(lambda _, given, __, name=name: seen.__setitem__(name, given[0]))
    for layer in twin.eval().modules():
        if isinstance(layer, NORMS):
            layer.train()
    with torch.no_grad():
        twin(batch)
    return seen


def test_statistics_are_the_means_over_all_images_of_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "BATCH", 2)
    run = training_run(SourceOnly(), splits(4, 6), batch_norm="target")
    run.advance(3)
    pixels = run.splits.target_adapt.pixels
    batches = [torch.from_numpy(pixels[[first, first + 1]]).permute(0, 3, 1, 2).float() for first in (0, 2, 4)]
    seen = [inputs_of(run.network, batch) for batch in batches]
    own = running_statistics(run)
    with recalibrated(run):
        found = running_statistics(run)
    assert_same(running_statistics(run), own)
    for name in seen[0]:
        values = [each[name].transpose(0, 1).flatten(1) for each in seen]
        mean, variance = (sum(part) / 3 for part in zip(*((x.mean(1), x.var(1)) for x in values), strict=True))
        torch.testing.assert_close(found[f"{name}.running_mean"], mean, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found[f"{name}.running_var"], variance, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("method", [SourceOnly(), MeanTeacher(), PseudoLabels(rounds=3), DACS(threshold=0.05)], ids=str)
def test_what_trains_goes_on_as_if_it_had_not_been_evaluated(method: Method) -> None:
    run, undisturbed = (training_run(method, steps=6, batch_norm="target") for _ in range(2))
    momenta = [layer.momentum for layer in run.network.modules() if isinstance(layer, NORMS)]
    for _ in range(6):
        assert run.advance(1) == undisturbed.advance(1)
        with recalibrated(run):
            evaluate(run, run.splits.source_val, "source")
    evaluated, other = state(run), state(undisturbed)
    assert evaluated.pop("statistics")
    assert other.pop("statistics") == {}
    assert_same(evaluated, other)
    assert [layer.momentum for layer in run.network.modules() if isinstance(layer, NORMS)] == momenta
    assert run.network.training


def test_dropout_rests() -> None:
    network = LRASPP().build().train()
    network.add_module("dropout", nn.Dropout(0.5))
    batch = images(4, 0).pixels[[0, 1, 2, 3]]
    numbers_ = torch.from_numpy(batch).permute(0, 3, 1, 2).float()
    first, second = copy.deepcopy(network), copy.deepcopy(network)
    for each, seed in ((first, 1), (second, 2)):
        torch.manual_seed(seed)
        with torch.no_grad():
            recalibrate(each, [numbers_])
    assert_same(dict(first.state_dict()), dict(second.state_dict()))
    assert all(module.training for module in first.modules())


def test_what_is_deployed_is_recalibrated_and_nothing_else() -> None:
    run = training_run(MeanTeacher(), batch_norm="target")
    run.advance(2)
    teacher, network = statistics_of(run._modules[TEACHER]), running_statistics(run)
    with recalibrated(run):
        assert_same(running_statistics(run), network)
        found = statistics_of(run._modules[TEACHER])
    name = "context_path.bn1.running_mean"
    assert not torch.equal(found[name], teacher[name])
    assert_same(state(run)["statistics"], found)


def test_rows_that_begin_from_it_have_the_statistics_that_it_was_scored_with() -> None:
    run = training_run(SourceOnly(), batch_norm="target")
    run.advance(2)
    with recalibrated(run):
        expected = running_statistics(run)
    saved = run.save({"trial": "t1"})
    begun = trained(Given(run.methods, run.recipe, trial="t1"), lambda _: saved, CPU)
    assert_same({name: value for name, value in begun.named_buffers() if name in expected}, expected)


@pytest.mark.parametrize("batch_norm", ["mixed", "source", "frozen"])
def test_other_recipes_keep_their_statistics(batch_norm: str) -> None:
    run = training_run(FDA(), batch_norm=batch_norm)
    before = running_statistics(run)
    with recalibrated(run):
        assert_same(running_statistics(run), before)
    assert state(run)["statistics"] == {}


def test_it_asks_after_every_batch_whether_to_stop_and_leaves_nothing_behind() -> None:
    run = training_run(SourceOnly(), batch_norm="target")
    before, momenta = running_statistics(run), {layer.momentum for layer in norms_of(run.network).values()}
    with pytest.raises(Interrupted), recalibrated(run, stopped=lambda: True):
        pass
    assert_same(running_statistics(run), before)
    assert {layer.momentum for layer in norms_of(run.network).values()} == momenta


def test_a_target_of_one_image_is_refused() -> None:
    data = splits()
    one = Images(data.target_adapt.pixels[[0]], data.target_adapt.names[:1])
    run = training_run(SourceOnly(), replace(data, target_adapt=one), batch_norm="target")
    with pytest.raises(Unsuited, match=r'^batch_norm="target" needs two images to adapt to, got one; take another'):
        recalibrated(run)


def test_a_last_batch_of_one_image_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "BATCH", 2)
    data = splits(4, 5)
    four = Images(data.target_adapt.pixels[[0, 1, 2, 3]], data.target_adapt.names[:4])
    run, other = (
        training_run(SourceOnly(), each, batch_norm="target") for each in (data, replace(data, target_adapt=four))
    )
    with recalibrated(run), recalibrated(other):
        assert_same(running_statistics(run), running_statistics(other))


def trial(folder: Path, method: Method, **changes: Any) -> list[Any]:
    busy = attempt(assignment(folder, method, batch_norm="target", **changes))
    return [numbers(report_of(take_step(busy))) for _ in range(2)]


def test_a_trial_taken_up_again_reports_the_same(tmp_path: Path) -> None:
    whole = trial(tmp_path / "whole", SourceOnly())
    assigned = assignment(tmp_path / "halves", SourceOnly(), batch_norm="target")
    first = report_of(take_step(attempt(assigned)))
    second = report_of(take_step(attempt(replace(assigned, reported=first.step))))
    assert [numbers(first), numbers(second)] == whole
    assert second.step == STEPS


def test_the_recipe_decides_what_is_scored_and_nothing_that_is_learnt(tmp_path: Path) -> None:
    by_target = trial(tmp_path / "target", SourceOnly())
    busy = attempt(assignment(tmp_path / "mixed", SourceOnly()))
    mixed = [numbers(report_of(take_step(busy))) for _ in range(2)]
    for one, other in zip(by_target, mixed, strict=True):
        assert one.metrics["loss/cross_entropy"] == other.metrics["loss/cross_entropy"]
        assert one.confusions != other.confusions


def test_adabn_has_nothing_to_begin_from_without_another_row(tmp_path: Path) -> None:
    failure = failure_of(take_step(attempt(assignment(tmp_path, AdaBN(), batch_norm="target"))))
    assert "AdaBN adapts a trained network" in failure.reason
