"""What is noted: means over the steps that noted it, whatever interrupts them, and one value a step for each name."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from platform.methods import Step
from platform.training.run import Interrupted, TrainingRun
from tests.support.own_methods import OfTheTarget, Scripted, judged
from tests.support.tiny_splits import training_run

Noting = Callable[[Step], object]


def in_every_third(step: Step) -> None:
    if step.number % 3 == 1:
        step.note("third", torch.tensor(float(step.number)))


def loss_of(note: Noting) -> Callable[[Step], dict[str, Tensor | None]]:
    def loss(step: Step) -> dict[str, Tensor | None]:
        note(step)
        return {"judge": None}

    return loss


def in_losses(note: Noting) -> Scripted:
    return Scripted(loss=loss_of(note))


def in_update(note: Noting) -> Scripted:
    return Scripted(after=note)


everywhere = pytest.mark.parametrize("where", [in_losses, in_update])


@everywhere
@pytest.mark.parametrize("parts", [1, 2])
def test_a_note_of_some_steps_is_the_mean_over_those(where: Callable[[Noting], Scripted], parts: int) -> None:
    run = training_run(where(in_every_third), batch=4)
    run.parts = parts
    assert run.advance(8)["third"] == (1 + 4 + 7) / 3
    assert run.advance(3)["third"] == 10
    assert "third" not in run.advance(2), "none of these two noted it"
    assert run.advance(1)["third"] == 13


@everywhere
@pytest.mark.parametrize("parts", [1, 2])
def test_an_interrupted_interval_has_the_means_of_an_undisturbed_one(
    where: Callable[[Noting], Scripted], parts: int
) -> None:
    def made() -> TrainingRun:
        run = training_run(where(in_every_third), batch=4)
        run.parts = parts
        return run

    expected, run = made().advance(8), made()
    for _ in range(8):
        with pytest.raises(Interrupted):
            run.advance(8 - run.step, stopped=lambda: True)
        saved, run = run.save({}), made()
        run.restore(saved)
    assert run.advance(0) == expected
    assert expected["third"] == 4


def test_a_note_of_one_half_is_the_mean_over_that_half() -> None:
    """As one of some steps is: a half that has nothing to say does not halve what the other one says."""
    calls: list[int] = []

    def in_first_half(step: Step) -> None:
        calls.append(len(calls))
        if len(calls) % 2:
            step.note("first", torch.tensor(6.0))
        step.note("both", torch.tensor(float(len(calls))))

    run = training_run(in_losses(in_first_half), batch=4)
    run.parts = 2
    means = run.advance(1)
    assert (means["first"], means["both"]) == (6.0, 1.5)


@pytest.mark.parametrize("parts", [1, 2])
def test_a_scalar_is_noted_once_a_step_by_losses_and_update_together(parts: int) -> None:
    def same(step: Step) -> None:
        step.note("same", torch.ones(()))

    run = training_run(Scripted(loss=loss_of(same), after=same), batch=4)
    run.parts = parts
    with pytest.raises(ValueError, match="must be noted once a step, got 'same' twice"):
        run.advance(1)


@everywhere
@pytest.mark.parametrize("parts", [1, 2])
def test_the_name_that_the_run_notes_itself_is_taken(where: Callable[[Noting], Scripted], parts: int) -> None:
    run = training_run(where(lambda step: step.note("loss/cross_entropy", torch.zeros(()))), batch=4)
    run.parts = parts
    with pytest.raises(ValueError, match="must be noted once a step, got 'loss/cross_entropy' twice"):
        run.advance(1)


def test_without_a_labelled_batch_a_method_may_note_a_cross_entropy_of_its_own() -> None:
    def own(step: Step) -> dict[str, Tensor]:
        return {"judge": step.term("cross_entropy", judged(step))}

    assert training_run(OfTheTarget(loss=own)).advance(2).keys() == {"loss/cross_entropy"}
