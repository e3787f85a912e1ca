"""Half precision, where a GPU has it: tried on the CPU's own."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from platform.methods import FDA, Adversarial, Method, SourceOnly
from platform.methods.step import Step
from platform.training.device.arithmetic import Arithmetic
from platform.training.run import TrainingRun
from tests.support.own_methods import MeanTeacher, OfTheTarget, Scripted, judged
from tests.support.tiny_splits import (
    CPU,
    assert_same,
    composition,
    parameters,
    recipe,
    splits,
    state,
    step_of,
    training_run,
)


@pytest.mark.parametrize(("before", "after"), [(True, False), (False, True)])
def test_a_state_moves_between_devices_with_and_without_half_precision(before: bool, after: bool) -> None:
    def run_with(half_precision: bool) -> TrainingRun:
        return half_precision_run(SourceOnly(), scale=8.0) if half_precision else training_run(SourceOnly(), batch=4)

    run, other = run_with(before), run_with(after)
    run.advance(2)
    other.restore(run.save({}))
    assert other.step == 2
    assert other._scaler.get_scale() == (8.0 if after else 1.0)
    assert_same(parameters(other), parameters(run))
    other.advance(1)


def half_precision_run(method: Method, scale: float = 2.0**10, **recipe_values: Any) -> TrainingRun:
    arithmetic = replace(Arithmetic.of(CPU), type=torch.float16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Arithmetic, "of", lambda device: arithmetic)
        run = training_run(method, batch=4, **recipe_values)
    run._scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=3)
    return run


@pytest.mark.parametrize("method", [SourceOnly(), Adversarial(width=4), FDA(beta=0.1)], ids=str)
def test_half_precision_trains_alike(method: Method) -> None:
    half, full = half_precision_run(method), training_run(method, batch=4)
    before = parameters(full)
    assert half.advance(1) == pytest.approx(full.advance(1), rel=0.02)
    in_half, in_full = (
        torch.cat([(after - before[name]).flatten() for name, after in parameters(run).items()]) for run in (half, full)
    )
    assert in_half.dtype == torch.float32
    # Attention normalises four numbers over the batch, which makes the most of bfloat16's eight bits.
    assert functional.cosine_similarity(in_half, in_full, dim=0) > 0.7
    assert torch.linalg.vector_norm(in_half).item() == pytest.approx(torch.linalg.vector_norm(in_full).item(), rel=0.4)


def test_gradients_are_unscaled_before_the_step() -> None:
    small, large = half_precision_run(Adversarial(width=4), 64.0), half_precision_run(Adversarial(width=4), 1024.0)
    small.advance(2)
    large.advance(2)
    torch.testing.assert_close(parameters(small), parameters(large), atol=1e-4, rtol=1e-3)


every_optimiser = pytest.mark.parametrize(
    "by", [{}, {"optimiser": "Adam", "learning_rate": 1e-3}, {"optimiser": "AdamW", "learning_rate": 1e-3}], ids=str
)


@every_optimiser
def test_an_overflow_skips_the_step_and_halves_the_scale(by: dict[str, Any]) -> None:
    run = half_precision_run(Adversarial(width=4), scale=2.0**17, auxiliary_weight=100.0, **by)
    before = parameters(run)
    losses = run.advance(1)
    assert all(np.isfinite(value) for value in losses.values())
    assert run._scaler.get_scale() == 2.0**16
    assert_same(parameters(run), before)
    run.advance(10)
    assert run.step == 11
    for name, after in parameters(run).items():
        assert after.isfinite().all()
        assert not torch.equal(after, before[name]), name


@every_optimiser
def test_a_restored_run_keeps_the_scale(by: dict[str, Any]) -> None:
    run, restored = (half_precision_run(Adversarial(width=4), scale, **by) for scale in (2.0**10, 8.0))
    run.advance(4)
    assert run._scaler.get_scale() == 2.0**11
    restored.restore(run.save({}))
    assert restored._scaler.state_dict() == run._scaler.state_dict()
    assert run.advance(3) == restored.advance(3)
    assert_same(state(run), state(restored))


@dataclass(frozen=True, kw_only=True)
class Watched(FDA):
    """FDA that notes the images it is given."""

    seen: ClassVar[list[Tensor]] = []

    def losses(self, step: Step) -> dict[str, Tensor]:
        self.seen.append(step.source.images)
        return dict(super().losses(step))


def test_translation_and_augmentation_stay_out_of_half_precision() -> None:
    Watched.seen.clear()
    run = half_precision_run(Watched(beta=0.1))
    expected = step_of(run).source.images
    run.advance(1)
    (seen,) = Watched.seen
    assert seen.dtype == torch.float32
    assert torch.equal(seen, expected)


PLAYERS = {
    "none in this step": Scripted(),
    "none in some steps": Scripted(loss=lambda step: {"judge": None if step.number % 2 else judged(step)}),
    "none of the network": OfTheTarget(loss=lambda step: {"judge": judged(step)}),
    "none of the network, and of the judge in some steps": OfTheTarget(
        loss=lambda step: {"judge": None if step.number % 2 else judged(step)}
    ),
    "none at all": OfTheTarget(),
    "one through a frozen player": Scripted(loss=lambda step: {"judge": judged(step) * judged(step, "frozen")}),
    "a teacher": MeanTeacher(),
}
"""Methods of which a player has no gradient, by who has no loss."""


@pytest.mark.parametrize("method", PLAYERS.values(), ids=PLAYERS.keys())
@pytest.mark.parametrize("parts", [1, 2])
def test_the_scaler_takes_players_without_a_gradient(method: Method, parts: int) -> None:
    """By itself it asserts that whoever steps has one, and that somebody stepped."""
    half, full = half_precision_run(method), training_run(method, batch=4)
    half.parts = full.parts = parts
    before = {name: [parameter.clone() for parameter in module.parameters()] for name, module in half._modules.items()}
    assert half.advance(5).keys() == full.advance(5).keys()
    for name, module in half._modules.items():
        moved = [not torch.equal(*pair) for pair in zip(module.parameters(), before[name], strict=True)]
        in_full = [not torch.equal(*pair) for pair in zip(full._modules[name].parameters(), before[name], strict=True)]
        assert any(moved) == any(in_full), name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("method", PLAYERS.values(), ids=PLAYERS.keys())
def test_on_a_gpu_players_without_a_gradient_train(method: Method) -> None:
    on_gpu, full = training_run(method, batch=4, device=torch.device("cuda")), training_run(method, batch=4)
    assert on_gpu.arithmetic.is_half
    assert on_gpu.advance(5).keys() == full.advance(5).keys()


def test_without_a_gpu_precision_is_full() -> None:
    run = TrainingRun(composition(SourceOnly()), recipe(), splits(), 1, 2, CPU)
    assert run.arithmetic.name == "float32"
    assert not run._scaler.is_enabled()
