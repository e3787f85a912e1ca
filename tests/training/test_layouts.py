"""However images and weights lie in memory, the same is learnt."""

import pytest
import torch

from platform.methods import Adversarial
from platform.training.device.arithmetic import Arithmetic
from platform.training.run import TrainingRun
from tests.support.tiny_splits import parameters, training_run

LAYOUTS = (torch.contiguous_format, torch.channels_last)


@pytest.mark.parametrize("weights", LAYOUTS)
@pytest.mark.parametrize("images", LAYOUTS)
def test_the_same_is_learnt(
    images: torch.memory_format, weights: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(*layouts: torch.memory_format) -> TrainingRun:
        arithmetic = Arithmetic(torch.float32, *layouts)
        monkeypatch.setattr(Arithmetic, "of", lambda device: arithmetic)
        # Fixed statistics, since those of a few pixels make much of the last bit.
        run = training_run(Adversarial(width=8, lambda_adv=0.1), batch_norm="frozen", learning_rate=1e-3)
        run.advance(3)
        return run

    start = parameters(training_run(Adversarial(width=8)))
    expected, found = (
        parameters(trained(torch.contiguous_format, torch.contiguous_format)),
        parameters(trained(images, weights)),
    )
    for name, before in start.items():
        moved, expected_move = found[name] - before, expected[name] - before
        error = torch.linalg.vector_norm(moved - expected_move)
        assert error <= 2e-3 * torch.linalg.vector_norm(expected_move) + 1e-7, name
