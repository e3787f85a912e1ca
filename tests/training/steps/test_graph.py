"""Steps that are recorded and repeated: equal to the bit to steps that are taken, and left where they could not be."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn

from platform.methods import (
    CBST,
    DACS,
    DANN,
    FDA,
    AdaBN,
    Adversarial,
    MajorityVote,
    Method,
    MultiBandTransfer,
    PseudoLabels,
    SourceOnly,
)
from platform.methods.method import SEGMENTATION, Player
from platform.methods.step import Step
from platform.networks.network import Network
from platform.training import run as training
from platform.training.device.arithmetic import Arithmetic
from platform.training.device.recorder import Recorder
from platform.training.device.recorder import recorder as chosen
from platform.training.run import TrainingRun
from platform.training.steps.graph import WARM_UP
from tests.support.recorded import Emulated
from tests.support.shelf import METHODS
from tests.support.tiny_splits import CPU, training_run

T = TypeVar("T")
STEPS = WARM_UP + 5
NOT_REPEATED = (DACS, AdaBN, PseudoLabels, CBST, MultiBandTransfer, MajorityVote)
"""Methods that ask for the number of a step, or draw, or do nothing in it."""


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Emulated:
    return recorded_by(monkeypatch, Emulated())


def recorded_by(monkeypatch: pytest.MonkeyPatch, emulated: Emulated) -> Emulated:
    monkeypatch.setattr(training, "recorder", lambda device, arithmetic: emulated)
    return emulated


def state(run: TrainingRun) -> list[Tensor]:
    return [tensor.clone() for tensor in run._state()]


def eager(method: Method, **recipe: Any) -> tuple[dict[str, float], list[Tensor]]:
    """What steps note that are taken one by one, and what they leave."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "recorder", lambda device, arithmetic: Emulated(whole=2.0))
        run = training_run(method, **recipe)
        return run.advance(STEPS), state(run)


def assert_as_taken(run: TrainingRun, expected: tuple[dict[str, float], list[Tensor]]) -> None:
    noted, left = expected
    assert run.advance(STEPS) == noted
    for one, other in zip(state(run), left, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_a_repeated_step_gives_the_same_to_the_bit(method: Method, recorder: Emulated) -> None:
    run = training_run(method, batch=4, augmentation="flip and crop")
    assert_as_taken(run, eager(method, batch=4, augmentation="flip and crop"))
    repeats = not isinstance(method, NOT_REPEATED)
    assert run.graph.repeats == repeats
    assert recorder.launched == (STEPS - WARM_UP - 1) * repeats


@pytest.mark.parametrize("optimiser", ["Adam", "AdamW"])
def test_a_step_of_any_optimiser_is_repeated(optimiser: str, recorder: Emulated) -> None:
    recipe: dict[str, Any] = {
        "optimiser": optimiser,
        "learning_rate": 1e-3,
        "head_factor": 10.0,
        "decays_vectors": False,
        "warm_up": 0.2,
    }
    run = training_run(Adversarial(width=4), **recipe)
    assert_as_taken(run, eager(Adversarial(width=4), **recipe))
    assert run.graph.repeats


def test_steps_are_not_recorded_where_the_device_is_the_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = recorded_by(monkeypatch, Emulated(whole=1.2))
    training_run(SourceOnly()).advance(STEPS)
    assert slow.recorded == 0


def test_a_recording_that_gives_other_numbers_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = recorded_by(monkeypatch, Emulated(damaged=True))
    run = training_run(Adversarial(width=4))
    assert_as_taken(run, eager(Adversarial(width=4)))
    assert (run.graph.repeats, damaged.recorded, damaged.launched) == (False, 1, 1)


class Halfway(SourceOnly):
    """Its loss is another from half of the steps on, which the CPU finds out."""

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        weight = step.prediction.logits.mean() * 0.1
        return {SEGMENTATION: weight if step.progress >= 0.3 else 2 * weight}


class Alternating(SourceOnly):
    """Its loss is another in every second step."""

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        return {SEGMENTATION: step.prediction.logits.mean() * (1 + step.number % 2)}


class Positioned(SourceOnly):
    """Its loss depends on which images it sees."""

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        return {SEGMENTATION: step.prediction.logits.mean() * float(step.source.indices.sum())}


class Looking(FDA):
    """It looks at other images than those of its batch."""

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        return {SEGMENTATION: step.segment(step.adapt.batch([0, 1]).images, "target").logits.mean()}


class Confident(SourceOnly):
    """It looks at as many logits as there are of a kind."""

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        logits = step.prediction.logits
        return {SEGMENTATION: logits[logits > 0].mean()}


@pytest.mark.parametrize("method", [Halfway(), Alternating(), Positioned(), Looking(), Confident()], ids=str)
def test_a_step_that_depends_on_the_cpu_is_taken_by_itself(method: Method, recorder: Emulated) -> None:
    run = training_run(method)
    assert_as_taken(run, eager(method))
    assert not run.graph.repeats
    assert recorder.recorded == 0


class Growing(SourceOnly):
    """It remembers a number of every step in new memory."""

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        memory = nn.Module()
        memory.register_buffer("seen", torch.zeros(1))
        return {"memory": Player(memory)}

    def update(self, step: Step) -> None:
        memory = step.modules["memory"]
        seen = memory.get_buffer("seen")
        memory.seen = torch.cat([seen, step.prediction.logits.mean()[None].float()])


class Tempered(SourceOnly):
    """It has one number that learns, by an optimiser whose learning rate lies with the CPU."""

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        temperature = nn.Module()
        temperature.value = nn.Parameter(torch.ones(1))
        return {"temperature": Player(temperature, partial(torch.optim.SGD, lr=0.1))}

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        value = step.modules["temperature"].get_parameter("value")
        return {"temperature": (value - step.prediction.logits.detach().mean()).abs().sum()}


@pytest.mark.parametrize(
    ("method", "why"),
    [
        (Growing(), "it makes new memory for what it remembers, or remembers it on the CPU"),
        (Tempered(), "the learning rate of an optimiser lies with the CPU"),
    ],
    ids=str,
)
def test_a_step_that_changes_what_is_not_on_the_device_is_not_recorded(
    method: Method, why: str, recorder: Emulated
) -> None:
    run = training_run(method)
    assert_as_taken(run, eager(method))
    assert run.graph.why_not == why
    assert recorder.recorded == 0


class Noisy(SourceOnly):
    """It draws on the device."""

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        logits = step.prediction.logits
        return {SEGMENTATION: step.term("noise", (logits * torch.rand_like(logits)).mean())}


def test_a_repeated_step_draws_what_it_would_have_drawn(recorder: Emulated) -> None:
    run = training_run(Noisy())
    assert_as_taken(run, eager(Noisy()))
    assert run.graph.repeats


def test_halved_batches_are_not_recorded(recorder: Emulated) -> None:
    run = training_run(SourceOnly(), batch=4)
    run.advance(STEPS)
    launched = recorder.launched
    run.parts = 2
    run.advance(STEPS)
    assert launched == STEPS - WARM_UP - 1
    assert recorder.launched == launched


def test_without_memory_for_both_steps_are_taken_as_before(recorder: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    method = Adversarial(width=4)
    expected = eager(method)
    run, taken = training_run(method), 0
    update = run._scaler.update

    def running_out() -> None:
        nonlocal taken
        taken += 1
        # After the optimisers' steps, in the first step beside the recording; one was recorded before.
        if taken == WARM_UP + 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        update()

    monkeypatch.setattr(run._scaler, "update", running_out)
    assert_as_taken(run, expected)
    assert recorder.recorded == 1
    assert not run.graph.repeats


class Overflowing(Emulated):
    """Its recordings give what is no number."""

    def record(self, action: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        given, launch = super().record(action)

        def ruin() -> None:
            launch()
            self.note.fill_(torch.nan)

        return given, ruin

    note: Tensor


def test_what_a_wrong_recording_noted_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Overflowing()
    monkeypatch.setattr(training, "recorder", lambda device, arithmetic: wrong)
    run = training_run(SourceOnly())
    wrong.note = run._losses.note
    assert_as_taken(run, eager(SourceOnly()))
    assert run.graph.why_not == "it gives other numbers"


def test_a_run_goes_on_from_what_repeated_steps_left(recorder: Emulated) -> None:
    method = DANN(hidden=4)
    run = training_run(method)
    run.advance(STEPS)
    saved = run.save({})
    run.predict(torch.zeros(1, 3, 32, 64), "target")
    noted = run.advance(STEPS)
    again = training_run(method)
    again.restore(saved)
    assert_as_taken(again, (noted, state(run)))
    assert run.graph.repeats
    assert again.graph.repeats


def test_only_young_gpus_record() -> None:
    bfloat16 = Arithmetic(torch.bfloat16, torch.channels_last, torch.channels_last)
    float16 = Arithmetic(torch.float16, torch.channels_last, torch.channels_last)
    assert isinstance(chosen(torch.device("cuda"), bfloat16), Recorder)
    assert chosen(torch.device("cuda"), float16) is None
    assert chosen(CPU, Arithmetic.of(CPU)) is None
