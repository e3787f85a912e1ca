"""Distillation against the divergence of the papers, computed place by place, and what becomes of both networks."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax
from torch.nn import functional

from platform.methods import DACS, FDA, AdaBN, Distillation, Method
from platform.methods.composition import Composition
from platform.methods.method import SEGMENTATION
from platform.methods.self_training.distillation import TEACHER, softened_divergence
from platform.networks import LRASPP, BiSeNet18, Network
from platform.networks.network import Prediction
from platform.training.cost import Uncounted, cost_of
from platform.training.given import Given
from platform.training.recipe import Recipe
from platform.training.run import TrainingRun
from tests.support.parity import assert_step_gives, batches, in_float64, step_of, supervised
from tests.support.tiny_splits import CPU, assert_same, composition, parameters, recipe, splits, training_run

RANDOM = np.random.default_rng(0)


def larger(width: float = 0.125) -> Network:
    torch.manual_seed(3)
    return BiSeNet18(width=width).build().eval().requires_grad_(False)


def run_of(methods: Sequence[Method], given: Sequence[Network]) -> TrainingRun:
    return TrainingRun(Composition(tuple(methods)), recipe(), splits(), 1, 20, CPU, given)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("scale", [0.01, 1.0, 20.0])
def test_it_is_the_divergence_of_softened_probabilities(scale: float, temperature: float) -> None:
    teacher, student = RANDOM.normal(0, scale, (2, 3, 19, 4, 5))
    expected = []
    for image, row, column in np.ndindex(3, 4, 5):
        q, r = (softmax(logits[image, :, row, column] / temperature) for logits in (teacher, student))
        expected.append(temperature**2 * rel_entr(q, r).sum())
    found = softened_divergence(torch.from_numpy(teacher), torch.from_numpy(student), temperature)
    assert found.item() == pytest.approx(np.mean(expected), rel=1e-9)


def test_a_pixel_worked_out() -> None:
    """Probabilities 3/4 and 1/4 of the teacher, 1/2 and 1/2 of the student."""
    teacher = torch.tensor([math.log(3.0), 0.0], dtype=torch.float64).view(1, 2, 1, 1)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert softened_divergence(teacher, torch.zeros_like(teacher), 1.0).item() == pytest.approx(expected, rel=1e-12)


def test_it_is_0_for_equal_probabilities_and_finite_for_certain_ones() -> None:
    logits = torch.from_numpy(RANDOM.normal(0, 1, (1, 19, 2, 3)))
    assert softened_divergence(logits, logits + 5.0, 2.0).item() == pytest.approx(0, abs=1e-12)
    certain, student = torch.zeros(1, 19, 1, 1), torch.zeros(1, 19, 1, 1, requires_grad=True)
    certain[:, 3] = 1e4
    loss = softened_divergence(certain, student, 1.0)
    torch.autograd.backward(loss)
    assert loss.item() == pytest.approx(math.log(19), rel=1e-6)
    assert student.grad is not None
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("sizes", [((4, 8), (2, 4)), ((2, 4), (4, 8)), ((4, 2), (2, 4))])
def test_coarser_logits_are_upsampled_to_the_finer(sizes: tuple[tuple[int, int], ...]) -> None:
    teacher, student = (torch.from_numpy(RANDOM.normal(0, 1, (2, 3, *size))) for size in sizes)
    q, r = (
        functional.interpolate(logits, size=(4, max(sizes[0][1], sizes[1][1])), mode="bilinear").softmax(1).numpy()
        for logits in (teacher, student)
    )
    assert softened_divergence(teacher, student, 1.0).item() == pytest.approx(rel_entr(q, r).sum(1).mean(), rel=1e-9)


def test_gradients_of_a_step_equal_those_of_the_equation() -> None:
    run = run_of([Distillation(lambda_distillation=3.0, temperature_of_distillation=2.0)], [larger()])
    expected = in_float64(run)
    source, target = batches(run)
    network = expected[SEGMENTATION]
    loss = supervised(network(source.images, auxiliary=True), source)
    with torch.no_grad():
        q = (expected[TEACHER].eval()(target.images).logits / 2).softmax(1)
    log_r = (network(target.images, auxiliary=True).logits / 2).log_softmax(1)
    places = q.shape[0] * q.shape[2] * q.shape[3]
    torch.autograd.backward(loss + 3 * 4 * (q * (q.log() - log_r)).sum() / places)
    assert_step_gives(run, {SEGMENTATION: network})


def test_half_precision_ends_before_the_softmax() -> None:
    run = run_of([Distillation(lambda_distillation=1.0)], [larger()])
    step = step_of(run)
    logits = torch.randn(2, 19, 4, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    step.passes["target"] = Prediction(logits, (), logits)
    with torch.autocast("cpu", torch.bfloat16):
        loss = run.methods.methods[0].losses(step)[SEGMENTATION]
        taught = run._modules[TEACHER](step.target.images).logits
    assert loss is not None
    assert loss.dtype == torch.float32
    q, r = (softmax(each.detach().double().numpy(), axis=1) for each in (taught, logits))
    assert loss.item() == pytest.approx(rel_entr(q, r).sum(1).mean(), rel=1e-5)


@pytest.mark.parametrize("beside", [(), (FDA(beta=0.1),), (DACS(threshold=0.05),)], ids=str)
def test_the_student_begins_from_its_own_weights_whatever_is_beside_it(beside: tuple[Method, ...]) -> None:
    run = run_of([*beside, Distillation()], [larger()])
    assert_same(parameters(run), parameters(training_run(FDA())))
    assert "loss/distillation" in run.advance(2)


def test_the_teacher_stays_as_it_was_and_in_evaluation() -> None:
    teacher = larger()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    run = run_of([Distillation()], [teacher])
    run.advance(3)
    assert_same(dict(run._modules[TEACHER].state_dict()), before)
    assert not run._modules[TEACHER].training


def test_a_teacher_of_another_kind() -> None:
    torch.manual_seed(3)
    assert run_of([Distillation()], [LRASPP().build().eval()]).advance(1)["loss/distillation"] > 0


def test_what_is_deployed_costs_what_the_student_costs() -> None:
    given = (Given(composition(DACS()), Recipe(network=BiSeNet18(width=0.5))),)
    by = Recipe(network=BiSeNet18(width=0.25))
    found, alone = cost_of(composition(Distillation()), by, given), cost_of(composition(FDA()), by)
    assert (found.deployed_parameters, found.deployed_gflops) == (alone.deployed_parameters, alone.deployed_gflops)
    assert found.step_gflops > alone.step_gflops
    assert found.discriminator_parameters > alone.deployed_parameters


@pytest.mark.parametrize("number", [0, 2])
def test_but_one_row_is_refused_with_its_remedy(number: int) -> None:
    given = tuple(Given(composition(FDA()), Recipe(network=BiSeNet18(width=0.125))) for _ in range(number))
    with pytest.raises(Uncounted, match=rf"^Distillation learns.*got {number} rows; write Arm\(Distillation\)\.after"):
        cost_of(composition(Distillation()), recipe(), given)


def test_beside_a_method_that_takes_the_weights_a_student_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="must begin from weights of its own network"):
        run_of([Distillation(), AdaBN()], [larger()])


def test_published_defaults() -> None:
    assert vars(Distillation()) == {"lambda_distillation": 10.0, "temperature_of_distillation": 1.0}
