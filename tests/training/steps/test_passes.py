"""Passes in training: which of them change the running statistics of batch norm, and which modes they leave."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from platform.methods import SEGMENTATION, SourceOnly, Step
from platform.networks.modes import evaluating
from platform.networks.network import Domain
from platform.training.run import TrainingRun
from platform.training.steps.passes import TrainingPasses
from tests.support.own_methods import Scripted
from tests.support.tiny_splits import assert_same, running_statistics, training_run


def moved(run: TrainingRun, before: Mapping[str, Tensor]) -> set[bool]:
    """Whether the running means of the norms are others than before."""
    after = running_statistics(run)
    return {not torch.equal(after[name], before[name]) for name in after if name.endswith("running_mean")}


IMAGES = torch.rand(2, 3, 32, 64, generator=torch.Generator().manual_seed(0)) * 255


@pytest.mark.parametrize(
    ("batch_norm", "domain", "labelled", "updates"),
    [
        ("mixed", "source", False, True),
        ("mixed", "target", False, True),
        ("mixed", "target", True, True),
        ("source", "source", False, True),
        ("source", "target", False, False),
        ("source", "source", True, True),
        ("source", "target", True, True),
        ("frozen", "source", False, False),
        ("frozen", "target", False, False),
        ("frozen", "source", True, False),
        ("frozen", "target", True, False),
        ("target", "source", True, False),
        ("target", "target", False, True),
        ("target", "target", True, True),
    ],
)
def test_which_passes_update_the_running_statistics(
    batch_norm: str, domain: Domain, labelled: bool, updates: bool
) -> None:
    run = training_run(SourceOnly(), batch_norm=batch_norm)
    before = running_statistics(run)
    segment = run._passes.labelled if labelled else run._passes
    segment(IMAGES, domain)
    assert moved(run, before) == {updates}
    if not updates:
        assert_same(running_statistics(run), before)
    kept = running_statistics(run)
    segment = run._passes.keeping().labelled if labelled else run._passes.keeping()
    segment(IMAGES, domain)
    assert_same(running_statistics(run), kept)


@pytest.mark.parametrize("batch_norm", ["mixed", "source", "frozen", "target"])
def test_an_update_changes_no_statistic_of_the_network(batch_norm: str) -> None:
    """Whatever it passes, by the network as it is trained."""

    def passes(step: Step) -> None:
        step.segment(step.source.images, "source")
        step.segment(step.target.images, "target")
        step.segment.labelled(step.source.images, "source")
        step.target_prediction  # noqa: B018 - not made by the losses

    quiet, busy = (training_run(Scripted(after=after), batch_norm=batch_norm) for after in (None, passes))
    before = running_statistics(busy)
    for run in (quiet, busy):
        run.advance(2)
    assert_same(running_statistics(quiet), running_statistics(busy))
    assert moved(busy, before) == {batch_norm in ("mixed", "source")}, "the target is passed in the update alone"


def test_a_pass_that_keeps_the_statistics_normalises_by_its_batch_all_the_same() -> None:
    run = training_run(SourceOnly(), batch_norm="source")
    before = running_statistics(run)
    kept = run._passes(IMAGES, "target").logits
    assert_same(running_statistics(run), before)
    assert torch.equal(kept, run._passes(IMAGES, "source").logits)
    run.network.eval()
    assert not torch.allclose(kept, run.network(IMAGES).logits)


def test_statistics_are_counted_again_after_a_pass_that_raises() -> None:
    run = training_run(SourceOnly(), batch_norm="source")
    before = running_statistics(run)
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever torch says of images without a height
        run._passes(IMAGES.flatten(2), "target")
    run._passes(IMAGES, "source")
    assert moved(run, before) == {True}


def test_a_layer_that_counts_nothing_goes_on_counting_nothing() -> None:
    network = training_run(SourceOnly()).network
    layer = network.get_submodule("context_path.bn1")
    assert isinstance(layer, torch.nn.BatchNorm2d)
    layer.track_running_stats = False
    TrainingPasses(network, "source", torch.channels_last)(IMAGES, "target")
    assert not layer.track_running_stats
    assert network.get_submodule("context_path.layer1.0.bn1").track_running_stats


@pytest.mark.parametrize("raises", [False, True])
def test_evaluating_leaves_every_module_in_the_mode_it_was_in(raises: bool) -> None:
    network = training_run(SourceOnly()).network
    network.train()
    network.get_submodule("context_path").eval()
    network.get_submodule("context_path.layer2").train()
    before = {name: module.training for name, module in network.named_modules()}
    assert set(before.values()) == {True, False}
    try:
        with evaluating(network):
            assert not any(module.training for module in network.modules())
            if raises:
                raise KeyError(SEGMENTATION)
    except KeyError:
        assert raises
    assert {name: module.training for name, module in network.named_modules()} == before
