"""When rounds begin, who teaches in them, and that all images are seen."""

import numpy as np
import pytest
import torch
from torch import Tensor

from platform.methods import CBST, MultiBandTransfer, PseudoLabels
from platform.methods.method import Method
from platform.methods.self_training.rounds import begun, counted, probabilities
from platform.methods.self_training.rounds.confidence import BINS
from platform.methods.self_training.rounds.teaching import SUCCESSOR, TEACHERS, THRESHOLDS
from platform.networks.network import Prediction
from platform.training.run import TrainingRun
from tests.support.parity import enlarged, step_of
from tests.support.tiny_splits import CPU, assert_same, composition, recipe, splits, training_run

EVERY: list[Method] = [PseudoLabels(), CBST(), MultiBandTransfer()]


@pytest.mark.parametrize("steps", range(1, 13))
@pytest.mark.parametrize("rounds", range(1, 6))
def test_rounds_share_the_steps_and_each_begins_once(steps: int, rounds: int) -> None:
    """The first after the first step, the others before their own first step."""
    run = training_run(PseudoLabels(rounds=rounds), steps=steps)
    of_step = [max(r for r in range(rounds) if r * steps <= number * rounds) for number in range(steps)]
    expected: list[int | None] = [0] + [None] * (steps - 1)
    for number in range(1, steps):
        if of_step[number] != of_step[number - 1]:
            expected[number - 1] = of_step[number]
    found = []
    for number in range(steps):
        run.step = number
        found.append(begun(step_of(run), rounds))
    assert found == expected


def test_the_teachers_of_a_round_that_begins_see_every_image_once() -> None:
    """Five images, two at a time, in evaluation mode; the last is alone."""
    run = training_run(MultiBandTransfer())
    teachers = [*run._modules[TEACHERS].children()]
    seen: list[Tensor] = []
    teachers[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    counts = counted(step_of(run), 0)
    assert [len(images) for images in seen] == [2, 2, 1]
    pixels = run.splits.target_adapt.pixels[[0, 1, 2, 3, 4]]
    assert torch.equal(torch.cat(seen).permute(0, 2, 3, 1).to(torch.uint8), torch.from_numpy(np.array(pixels)))
    assert not any(part.training for teacher in teachers for part in teacher.modules())
    expected = averaged(teachers, torch.cat(seen)).argmax(dim=1).flatten().bincount(minlength=19)
    assert counts.shape == (19, BINS)
    assert (counts.sum(dim=1) - expected).abs().sum() <= 2


def averaged(teachers: list[torch.nn.Module], images: Tensor) -> Tensor:
    """The mean over the teachers of their probabilities at the images' size, in float64."""
    with torch.no_grad():
        logits = [enlarged(teacher(images).logits.double(), images).numpy() for teacher in teachers]
    exponentials = [np.exp(each - each.max(axis=1, keepdims=True)) for each in logits]
    return torch.from_numpy(np.mean([each / each.sum(axis=1, keepdims=True) for each in exponentials], axis=0))


def test_several_teachers_average_their_probabilities() -> None:
    run = training_run(MultiBandTransfer())
    teachers = [*run._modules[TEACHERS].children()]
    assert len(teachers) == 3
    step = step_of(run)
    found = probabilities(step, 1)
    np.testing.assert_allclose(found.double(), averaged(teachers, step.target.images), atol=1e-6)
    assert not torch.allclose(found.double(), averaged(teachers[:1], step.target.images), atol=1e-3)


def test_in_half_precision_probabilities_are_those_of_float32() -> None:
    """Of logits that bfloat16 knows: doubts of 1e-4 are not rounded away."""
    run = training_run(MultiBandTransfer())
    given = torch.zeros(2, 19, 4, 8).bfloat16()
    given[:, 4] = 12.0
    for teacher in run._modules[TEACHERS].children():
        teacher.register_forward_hook(lambda *_: Prediction(given, (), given))
    with torch.autocast("cpu", torch.bfloat16):
        p = probabilities(step_of(run), 1)
    assert p.dtype == torch.float32
    expected = 18 / (np.exp(12.0) + 18)
    np.testing.assert_allclose(1 - p[:, 4], expected, rtol=1e-2)


@pytest.mark.parametrize("method", [PseudoLabels(rounds=2), CBST(rounds=2)], ids=str)
def test_a_later_rounds_teacher_is_the_network_as_it_was_when_the_round_began(method: Method) -> None:
    run = training_run(method, steps=8, learning_rate=0.1)
    successor, given = run._modules[SUCCESSOR], run._modules[TEACHERS]
    before = {name: value.clone() for name, value in given.state_dict().items()}
    run.advance(4)
    network = {name: value.clone() for name, value in run.network.state_dict().items()}
    assert_same(dict(successor.state_dict()), network)
    called: list[str] = []
    successor.register_forward_hook(lambda *_: called.append("successor"))
    given.get_submodule("0").register_forward_hook(lambda *_: called.append("given"))
    run.advance(3)
    assert_same(dict(successor.state_dict()), network)
    assert_same(dict(given.state_dict()), before)
    assert called == ["successor"] * 3
    assert not any(parameter.requires_grad for parameter in successor.parameters())


def test_only_what_a_later_round_needs_is_remembered() -> None:
    assert [*training_run(PseudoLabels(rounds=1))._modules] == ["segmentation", TEACHERS, THRESHOLDS]
    assert [*training_run(PseudoLabels(rounds=2))._modules] == ["segmentation", TEACHERS, THRESHOLDS, SUCCESSOR]


@pytest.mark.parametrize("method", EVERY, ids=str)
def test_the_first_step_has_no_labels_and_its_update_finds_the_thresholds(method: Method) -> None:
    run = training_run(method)
    first = run.advance(1)
    assert (first["loss/pseudo_labels"], first["pseudo_labels/labelled"]) == (0, 0)
    thresholds = run._modules[THRESHOLDS].get_buffer("of_class")
    assert (thresholds <= 1).all()
    second = run.advance(1)
    assert second["loss/pseudo_labels"] > 0
    assert 0 < second["pseudo_labels/labelled"] <= 1
    assert torch.equal(run._modules[THRESHOLDS].get_buffer("of_class"), thresholds)


@pytest.mark.parametrize("method", EVERY, ids=str)
def test_without_trained_networks_it_is_refused_with_its_remedy(method: Method) -> None:
    name = type(method).__name__
    with pytest.raises(ValueError, match=rf'{name} needs trained networks .* Arm\({name}\)\.after\("source only"\)'):
        TrainingRun(composition(method), recipe(), splits(), 1, 4, CPU)


@pytest.mark.parametrize("method", EVERY, ids=str)
def test_one_image_at_a_time_is_labelled_as_a_batch_is(method: Method) -> None:
    """Thresholds are found on whole batches, whatever a step's parts, and teachers are in evaluation."""
    halved, whole = (training_run(method, batch_norm="frozen") for _ in range(2))
    halved.parts = 2
    noted, expected = ([run.advance(1), run.advance(1)][1] for run in (halved, whole))
    assert noted["pseudo_labels/labelled"] == pytest.approx(expected["pseudo_labels/labelled"], abs=0.01)
    torch.testing.assert_close(*(run._modules[THRESHOLDS].get_buffer("of_class") for run in (halved, whole)))
