"""The two levels of AdaptSegNet against its authors' loop, which runs each discriminator three times."""

from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn import functional

from platform.methods import Adversarial, Labelled, MultiLevelAdversarial, Unlabelled
from platform.methods.adversarial.judgement import Criterion
from platform.methods.adversarial.multi_level import AUXILIARY, DISCRIMINATOR
from platform.methods.method import SEGMENTATION
from platform.networks import LRASPP
from platform.training.run import TrainingRun
from tests.support.parity import assert_step_gives, batches, enlarged, in_float64, step_of, supervised
from tests.support.tiny_splits import assert_same, training_run


def published_step(
    modules: dict[str, nn.Module], source: Labelled, target: Unlabelled, method: MultiLevelAdversarial
) -> None:
    """`pred1` is the classifier on earlier features, which LAMBDA_ADV_TARGET1 weighs; `pred2` the final one."""
    first, second = modules[AUXILIARY], modules[DISCRIMINATOR]
    score = nn.MSELoss() if method.criterion == "least squares" else nn.BCEWithLogitsLoss()
    for judge in (first, second):
        judge.requires_grad_(False)
    on_source = modules[SEGMENTATION](source.images, auxiliary=True)
    torch.autograd.backward(supervised(on_source, source))
    on_target = modules[SEGMENTATION](target.images, auxiliary=True)
    pred_target1 = enlarged(on_target.auxiliary[0], target.images)
    pred_target2 = enlarged(on_target.logits, target.images)
    out1, out2 = first(functional.softmax(pred_target1, 1)), second(functional.softmax(pred_target2, 1))
    fooled = method.auxiliary_lambda_adv * score(out1, torch.zeros_like(out1))
    torch.autograd.backward(fooled + method.lambda_adv * score(out2, torch.zeros_like(out2)))

    for judge in (first, second):
        judge.requires_grad_(True)
    pred1, pred2 = enlarged(on_source.auxiliary[0], source.images), enlarged(on_source.logits, source.images)
    for judge, pred, domain in (
        (first, pred1, 0.0),
        (second, pred2, 0.0),
        (first, pred_target1, 1.0),
        (second, pred_target2, 1.0),
    ):
        out = judge(functional.softmax(pred.detach(), 1))
        torch.autograd.backward(score(out, torch.full_like(out, domain)) / 2)


@pytest.mark.parametrize("criterion", get_args(Criterion))
def test_gradients_equal_those_of_the_published_three_passes_of_each_discriminator(criterion: Criterion) -> None:
    method = MultiLevelAdversarial(width=8, lambda_adv=0.5, auxiliary_lambda_adv=0.3, criterion=criterion)
    run = training_run(method, batch=4)
    expected = in_float64(run)
    published_step(expected, *batches(run), method)
    assert_step_gives(run, expected)


def test_without_the_weight_of_the_auxiliary_level_the_network_learns_as_from_one_level() -> None:
    """Both methods draw the final discriminator first, so that it is the same."""
    two = training_run(MultiLevelAdversarial(width=4, lambda_adv=0.5, auxiliary_lambda_adv=0.0))
    one = training_run(Adversarial(width=4, lambda_adv=0.5))
    in_float64(two)
    assert_step_gives(two, _after_a_step(one))


def _after_a_step(run: TrainingRun) -> dict[str, nn.Module]:
    in_float64(run)
    run.advance(1)
    return {name: run._modules[name] for name in (SEGMENTATION, DISCRIMINATOR)}


def test_the_discriminators_start_from_different_weights() -> None:
    run = training_run(MultiLevelAdversarial(width=4))
    final, auxiliary = (run._modules[name].state_dict() for name in (DISCRIMINATOR, AUXILIARY))
    assert final.keys() == auxiliary.keys()
    assert not any(torch.equal(final[name], auxiliary[name]) for name in final)


def test_no_weight_of_the_network_moves_a_discriminator() -> None:
    weak, strong = (
        training_run(MultiLevelAdversarial(width=4, lambda_adv=weight, auxiliary_lambda_adv=weight))
        for weight in (0.0, 1e3)
    )
    for run in (weak, strong):
        run.advance(1)
    for name in (DISCRIMINATOR, AUXILIARY):
        assert_same(weak._modules[name].state_dict(), strong._modules[name].state_dict())


def test_the_terms_are_noted_for_each_level_and_add_up() -> None:
    run = training_run(MultiLevelAdversarial(width=4, lambda_adv=0.5, auxiliary_lambda_adv=0.25))
    step = step_of(run)
    losses = run.methods.methods[0].losses(step)
    assert losses.keys() == {SEGMENTATION, DISCRIMINATOR, AUXILIARY}
    fooled = 0.5 * step.noted["loss/discriminator_fooled"] + 0.25 * step.noted["loss/auxiliary_discriminator_fooled"]
    torch.testing.assert_close(losses[SEGMENTATION], fooled)
    torch.testing.assert_close(losses[AUXILIARY], step.noted["loss/auxiliary_discriminator"])
    assert {"discriminator/spread", "auxiliary_discriminator/spread"} <= step.noted.keys()


def test_a_network_without_an_auxiliary_classifier_is_refused() -> None:
    run = training_run(MultiLevelAdversarial(width=4), network=LRASPP())
    with pytest.raises(ValueError, match="needs a network with an auxiliary classifier; take Adversarial"):
        run.advance(1)


def test_published_defaults() -> None:
    assert vars(MultiLevelAdversarial()) == {
        "lambda_adv": 1e-3,
        "auxiliary_lambda_adv": 2e-4,
        "width": 64,
        "criterion": "cross-entropy",
        "discriminator_learning_rate": 1e-4,
    }
