"""The watch for losses that are not finite."""

import math

import pytest
import torch
from torch import Tensor

from platform.training.steps.finite import EVERY, Diverged, LossWatch
from tests.support.operations import operations_of

PLAYERS = ("discriminator", "segmentation")
CPU = torch.device("cpu")


def watch() -> LossWatch:
    return LossWatch(PLAYERS, CPU)


def losses(**values: float) -> dict[str, Tensor]:
    return {name: torch.tensor(value) for name, value in values.items()}


def take(watched: LossWatch, given: dict[str, Tensor], step: int) -> None:
    watched.begin(step)
    watched.take(given)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_first_bad_step_is_told_and_no_later_one(bad: float) -> None:
    watched = watch()
    take(watched, losses(segmentation=1.5, discriminator=0.5), 0)
    take(watched, losses(segmentation=bad), 1)
    take(watched, losses(segmentation=math.nan, discriminator=math.nan), 2)
    take(watched, losses(segmentation=1.0), 3)
    with pytest.raises(Diverged, match=rf"^the segmentation loss is {bad} at step 2$"):
        watched.check()


def test_of_several_players_the_one_that_is_not_finite_is_named() -> None:
    watched = watch()
    take(watched, losses(segmentation=1e38, discriminator=math.inf), 6)
    with pytest.raises(Diverged, match=r"^the discriminator loss is inf at step 7$"):
        watched.check()


def test_finite_losses_are_no_news() -> None:
    watched = watch()
    for step in range(2 * EVERY):
        take(watched, losses(segmentation=3e38, discriminator=-1e-40), step)
        watched.look(step + 1)
    watched.check()


@pytest.mark.parametrize("bad", [0, 1, EVERY - 1, EVERY, 3 * EVERY // 2])
def test_it_is_told_at_most_a_hundred_steps_later(bad: int) -> None:
    watched = watch()

    def go_on() -> None:
        for step in range(bad + 2 * EVERY + 1):
            take(watched, losses(segmentation=math.nan if step == bad else 1.0), step)
            watched.look(step + 1)

    with pytest.raises(Diverged, match=rf" at step {bad + 1}$"):
        go_on()


def test_taking_losses_reads_nothing_from_the_device() -> None:
    watched, given = watch(), losses(segmentation=1.0, discriminator=2.0)
    assert "aten::_local_scalar_dense" not in operations_of(lambda: take(watched, given, 0))
    with pytest.raises(RuntimeError, match="meta"):
        operations_of(lambda: torch.ones((), device="meta").item())
