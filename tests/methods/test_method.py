"""What every method says of itself unless it says otherwise."""

import inspect

import torch

from platform.methods import FDA, Adversarial, Labelled, Method, SourceOnly, TargetSupervised
from tests.support.tiny_splits import splits, step_of, training_run


def test_a_method_is_at_full_strength_from_the_start_unless_it_says_otherwise() -> None:
    assert [method().warm_up for method in (SourceOnly, TargetSupervised, FDA, Adversarial)] == [0.0] * 4
    assert Adversarial(ramp=0.25).warm_up == 0.25


def test_a_method_that_says_nothing_adds_nothing_to_the_cross_entropy() -> None:
    positions = torch.arange(2)
    method, source = Method(), Labelled(torch.rand(2, 3, 8, 8), torch.zeros(2, 8, 8).long(), positions, positions * 0)
    run = training_run(SourceOnly())
    assert method.players(run.network, ()) == {}
    assert method.losses(step_of(run)) == {}
    assert method.weights(splits().source_train) is None
    assert method.source_images(splits().source_train) is None
    assert method.translate(source, None, {}) is source.images
    assert method.data() is None
    assert method.deployed == "segmentation"


def test_a_method_reads_the_source_and_target_images_unless_it_says_otherwise() -> None:
    read = {method: set(method.reads) for method in (Method, FDA, Adversarial, SourceOnly, TargetSupervised)}
    assert read == {
        Method: {"source", "target"},
        FDA: {"source", "target"},
        Adversarial: {"source", "target"},
        SourceOnly: {"source"},
        TargetSupervised: {"oracle"},
    }


def test_the_bounds_are_what_every_method_does_and_nothing_more() -> None:
    for bound in (SourceOnly, TargetSupervised):
        own = {name for name, value in vars(bound).items() if inspect.isfunction(value) and not name.startswith("__")}
        assert not own
