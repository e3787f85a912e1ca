"""What every method must keep to. A new method joins by one line in METHODS of `tests/support/shelf.py`."""

import dataclasses
import itertools
import math
import pickle
import re
from collections.abc import Iterator
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch

import platform.methods
from platform.methods import FDA, Labelled, Method, SourceOnly, TargetSupervised
from platform.methods.composition import Composition
from platform.methods.method import SEGMENTATION
from platform.networks.hyperparameters import check_declared, field_names, rule_of
from platform.shifts import town
from platform.shifts.shift import Oracle
from platform.training.device.process import make_deterministic
from platform.training.evaluation import evaluate, predictions
from platform.training.recipe import Recipe
from platform.training.run import Interrupted
from tests.support.shelf import ACTING, AIMS, METHODS, Aim
from tests.support.tiny_splits import (
    AFTER,
    CPU,
    Sealed,
    assert_same,
    parameters,
    splits,
    state,
    training_run,
    with_sealed_oracle,
)

every_method = pytest.mark.parametrize("method", METHODS, ids=str)
every_training = pytest.mark.parametrize("method", [m for m in METHODS if m.reads - {"target"}], ids=str)
every_adaptation = pytest.mark.parametrize("method", [m for m in METHODS if "oracle" not in m.reads], ids=str)
every_composition = pytest.mark.parametrize(
    "methods", ACTING, ids=lambda methods: " + ".join(map(str, methods.methods))
)


@pytest.fixture
def gpu() -> Iterator[torch.device]:
    """This machine's GPU, in a process as deterministic as a worker's."""
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    make_deterministic(torch.get_num_threads())
    yield torch.device("cuda")
    torch.use_deterministic_algorithms(False)


def test_no_method_is_left_out() -> None:
    exported = {
        entry for entry in vars(platform.methods).values() if isinstance(entry, type) and issubclass(entry, Method)
    }
    missing = exported - {Method} - {type(method) for method in METHODS}
    assert not missing, f"add an instance of {', '.join(sorted(kind.__name__ for kind in missing))} to METHODS"


@every_composition
def test_every_player_with_an_optimiser_gets_a_finite_gradient_that_is_not_zero(methods: Composition) -> None:
    run = training_run(methods)
    run.step = 1  # some weights rise from 0 at the first step
    losses = run.advance(1)
    assert ("loss/cross_entropy" in losses) == bool(methods.reads - {"target"})
    assert all(math.isfinite(value) for value in losses.values())
    for name in run._optimisers if losses else ():
        every = list(run._modules[name].parameters())
        gradients = [parameter.grad for parameter in every if parameter.grad is not None]
        assert len(gradients) == len(every)
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert any(gradient.any() for gradient in gradients)


@every_method
def test_what_is_noted_has_a_name_of_its_own(method: Method) -> None:
    """Evaluation puts `source/`, `target/` and `oracle/` in the same report."""
    wrong = [
        name
        for name in training_run(method).advance(1)
        if not re.fullmatch(r"(?!source/|target/|oracle/)\w+/\w+", name)
    ]
    assert not wrong, (
        f"{wrong}: call it <word>/<name>, like loss/entropy; source, target and oracle are evaluation's words"
    )


@every_training
def test_training_lowers_the_cross_entropy(method: Method) -> None:
    run = training_run(method, steps=60, augmentation="none", batch=4)
    first = run.advance(10)["loss/cross_entropy"]
    run.advance(20)
    assert run.advance(10)["loss/cross_entropy"] < first


@every_composition
def test_a_seed_decides_everything(methods: Composition) -> None:
    first, second = training_run(methods), training_run(methods)
    assert first.advance(3) == second.advance(3)
    assert_same(state(first), state(second))


@every_training
def test_another_seed_gives_another_run(method: Method) -> None:
    first, second = training_run(method, seed=1), training_run(method, seed=2)
    assert first.advance(2) != second.advance(2)
    assert not any(
        torch.equal(left, right)
        for (name, left), right in zip(parameters(first).items(), parameters(second).values(), strict=True)
        if name.endswith("weight") and left.ndim == 4
    )


@every_composition
@pytest.mark.parametrize(
    "interruption", [pytest.param(0, marks=pytest.mark.thorough), 1, pytest.param(4, marks=pytest.mark.thorough)]
)
def test_a_restored_run_goes_on_as_the_uninterrupted_one(methods: Composition, interruption: int) -> None:
    """Weights, batch-norm buffers, momentum, Adam's moments, learning rates, the data's order, what is remembered."""
    uninterrupted = training_run(methods, augmentation="flip and crop")
    uninterrupted.advance(interruption)
    saved = uninterrupted.save({"report": {"step": interruption}})
    expected = uninterrupted.advance(6 - interruption)

    torch.manual_seed(12345)
    restored = training_run(pickle.loads(pickle.dumps(methods)), augmentation="flip and crop")
    assert restored.restore(saved) == {"report": {"step": interruption}}
    assert restored.step == interruption
    assert restored.advance(6 - interruption) == expected
    assert_same(state(restored), state(uninterrupted))
    for position, memory in restored.batches.memory.items():
        for index, remembered in memory.items():
            assert torch.equal(remembered, uninterrupted.batches.memory[position][index])


@every_composition
@pytest.mark.parametrize("parts", [1, 2])
def test_interrupted_at_every_step_a_run_notes_and_learns_the_same(methods: Composition, parts: int) -> None:
    """Bit for bit: the means, too, are those of an interval that was never interrupted.

    A method that keeps what it remembers anywhere but in its players goes on otherwise after a restart.
    """
    uninterrupted = training_run(methods, batch=4)
    uninterrupted.parts = parts
    expected = [uninterrupted.advance(3), uninterrupted.advance(2)]

    run = training_run(methods, batch=4)
    run.parts = parts
    means = []
    for target in (3, 5):
        for _ in range(run.step, target):
            with pytest.raises(Interrupted):
                run.advance(target - run.step, stopped=lambda: True)
            saved, run = run.save({}), training_run(methods, batch=4)
            run.restore(saved)
        means.append(run.advance(target - run.step))
    assert means == expected
    assert_same(state(run), state(uninterrupted))


@every_composition
@pytest.mark.parametrize("parts", [1, 2])
def test_on_a_gpu_half_precision_trains_alike_and_a_restored_run_goes_on(
    methods: Composition, parts: int, gpu: torch.device
) -> None:
    """Bit for bit after the restart; beside the CPU's full precision, to a few per cent of the first losses."""
    run, reference = (training_run(methods, batch=4, device=device) for device in (gpu, CPU))
    run.parts = reference.parts = parts
    assert run.advance(1) == pytest.approx(reference.advance(1), rel=0.05, abs=0.02)
    saved = run.save({})
    expected = run.advance(3)

    restored = training_run(methods, batch=4, device=gpu)
    restored.restore(saved)
    assert restored.advance(3) == expected
    assert_same(state(restored), state(run))
    first, second = (evaluate(each, each.splits.source_val, "source") for each in (restored, run))
    np.testing.assert_equal(first, second)


@every_composition
def test_a_step_asks_once_whether_to_stop(methods: Composition) -> None:
    run, asked = training_run(methods), itertools.count()
    run.advance(3, stopped=lambda: next(asked) < 0)
    assert next(asked) == 3


@every_composition
def test_evaluating_does_not_change_the_training(methods: Composition) -> None:
    evaluated, undisturbed = training_run(methods), training_run(methods)
    for _ in range(3):
        evaluate(evaluated, evaluated.splits.source_val, "source")
        predictions(evaluated, evaluated.splits.oracle.test)
        evaluated.advance(1)
        undisturbed.advance(1)
    assert_same(state(evaluated), state(undisturbed))


@pytest.mark.parametrize("method", [m for m in METHODS if "source" in m.reads], ids=str)
def test_the_same_seed_gives_the_same_initial_network_and_labelled_batches(method: Method) -> None:
    run, reference = training_run(method, seed=3), training_run(SourceOnly(), seed=3)
    if type(method) not in AFTER:
        assert_same(parameters(run), parameters(reference))
    for step in range(6) if type(method).weights is Method.weights else ():
        batch, expected = run.batches.at(step)["source"], reference.batches.at(step)["source"]
        assert isinstance(batch, Labelled)
        assert isinstance(expected, Labelled)
        assert torch.equal(batch.indices, expected.indices)
        assert torch.equal(batch.labels, expected.labels)
        assert batch.images.shape == expected.images.shape


@every_adaptation
def test_target_labels_are_out_of_reach(method: Method) -> None:
    run = training_run(method, with_sealed_oracle(splits()))
    run.advance(2)
    target = run.batches.at(2).get("target")
    if target is not None:
        assert {field.name for field in dataclasses.fields(target)} == {"images", "indices"}


def test_the_supervised_upper_bound_touches_the_labels_of_the_adapt_split_only() -> None:
    data = splits()
    oracle = Oracle(data.oracle.adapt, Sealed("oracle.val"), Sealed("oracle.test"))  # type: ignore[arg-type]
    data = dataclasses.replace(data, oracle=oracle, source_train=Sealed("source_train"))  # type: ignore[arg-type]
    run = training_run(TargetSupervised(), data)
    run.advance(2)
    with pytest.raises(AssertionError, match=r"oracle\.adapt was read"):
        training_run(TargetSupervised(), with_sealed_oracle(data))


@pytest.mark.parametrize("method", [m for m in METHODS if "target" not in m.reads], ids=str)
def test_a_method_that_does_not_look_at_the_target_is_not_shown_it(method: Method) -> None:
    data = dataclasses.replace(splits(), target_adapt=Sealed("target_adapt"))  # type: ignore[arg-type]
    training_run(method, data).advance(2)


def check_weightless(method: Method, device: torch.device) -> None:
    """Passes of the target update no statistic here, so that nothing of them is left but a loss times 0."""
    run, reference = (training_run(each, batch_norm="source", device=device) for each in (method, SourceOnly()))
    # What comes after another row may begin from its weights.
    reference.network.load_state_dict(run.network.state_dict())
    noted, expected = run.advance(4), reference.advance(4)
    assert noted["loss/cross_entropy"] == expected["loss/cross_entropy"]
    assert_same(state(run)["modules"][SEGMENTATION], state(reference)["modules"][SEGMENTATION])


@pytest.mark.parametrize("method", [aim.weightless for aim in AIMS], ids=str)
def test_without_weight_a_method_is_source_only_bit_for_bit(method: Method) -> None:
    check_weightless(method, CPU)


@pytest.mark.parametrize("method", [aim.weightless for aim in AIMS], ids=str)
def test_without_weight_a_method_is_source_only_bit_for_bit_on_a_gpu(method: Method, gpu: torch.device) -> None:
    check_weightless(method, gpu)


@pytest.mark.parametrize("aim", AIMS, ids=lambda aim: str(aim.method))
def test_a_method_lowers_its_own_objective_on_town(aim: Aim) -> None:
    """Beside the same without weight, from the same seed, whose network is source only's."""
    data = town(size=(32, 64), source_images=(16, 4), target_images=(16, 4, 4)).open()
    runs = [training_run(method, data, steps=30) for method in (aim.method, aim.weightless)]
    for run in runs:
        run.advance(20)
    reached, untouched = (run.advance(10)[aim.term] for run in runs)
    assert reached > untouched if aim.rises else reached < untouched


def test_every_term_with_a_weight_is_seen_to_fall() -> None:
    """All methods with a loss of their own have an aim, but FDA, which notes none without weight: its file has it."""
    own = {type(method) for method in METHODS if type(method).losses is not Method.losses}
    assert own - {type(aim.method) for aim in AIMS} == {FDA}


@every_composition
def test_losses_change_no_state(methods: Composition) -> None:
    """They are taken once for each part of a batch; what changes state belongs to `update`."""
    run = training_run(methods)
    run.advance(1)
    before = pickle.dumps(state(run)["modules"])
    modules = pickle.loads(before)
    step = run._offer(run.batches.at(1), 0)
    methods.losses(dataclasses.replace(step, segment=run._passes.keeping()), run._players)
    assert_same(state(run)["modules"], modules)


@every_method
def test_nothing_is_kept_from_one_run_to_the_next(method: Method) -> None:
    untouched = training_run(pickle.loads(pickle.dumps(method)))
    untouched.advance(2)
    before = dict(vars(method))

    training_run(method, splits(6, 4), seed=9).advance(3)
    again = training_run(method)
    again.advance(2)
    assert_same(state(again), state(untouched))
    assert vars(method) == before


@every_method
def test_hyperparameters_are_frozen_checked_and_described(method: Method) -> None:
    kind = type(method)
    check_declared(kind)
    assert kind.__doc__
    assert hash(method) == hash(dataclasses.replace(method))
    shared = {*field_names(kind)} & {*field_names(Recipe)}
    assert not shared, f"{kind.__name__}.{shared} are fields of the recipe: rename them"
    for field in dataclasses.fields(method):
        name, declared = f"{kind.__name__}.{field.name}", get_type_hints(kind)[field.name]
        rule = rule_of(kind, field.name)
        assert str(rule) or rule.kind, (
            f"{name} needs bounds, choices, a kind or a Literal: hyperparameter(default, ...)"
        )
        takes = {type(choice) for choice in get_args(declared)} or {declared}
        assert type(field.default) in takes, f"{name} is declared {declared}, but its default is {field.default!r}"
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(method, field.name, field.default)
    kind()


@every_method
def test_only_known_fields_act_through_an_integer(method: Method) -> None:
    """The integers that a search proposes must come back from the values that it trains."""
    for field in dataclasses.fields(method):
        integer = method.integer(field.name, (512, 1024))
        if integer is not None:
            numbers = range(integer.of(getattr(method, field.name)) + 50)
            assert [integer.of(integer.value(number)) for number in numbers] == list(numbers)
    assert method.integer("no such field", (512, 1024)) is None
