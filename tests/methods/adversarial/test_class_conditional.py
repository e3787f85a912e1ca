"""The class-conditional discriminator against the authors' loop, which judges three times, and worked-out values."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from platform.methods import FDA, ClassConditionalAdversarial, Labelled, MinEnt, Unlabelled
from platform.methods.adversarial.class_conditional import DISCRIMINATOR, discriminator, judged_as, soft_classes
from platform.methods.adversarial.judgement import SOURCE, TARGET
from platform.methods.composition import Composition
from platform.methods.method import SEGMENTATION
from platform.networks import LRASPP
from platform.shifts.labels import NUM_CLASSES
from tests.support.parity import assert_step_gives, batches, in_float64, step_of, supervised
from tests.support.tiny_splits import assert_same, parameters, state, training_run


def published_classes(logits: Tensor, method: ClassConditionalAdversarial) -> Tensor:
    p = functional.softmax(logits.div(method.label_temperature), dim=1).detach()
    p[p > method.label_ceiling] = method.label_ceiling
    return p


def published_cross_entropy(judgement: Tensor, soft_label: Tensor) -> Tensor:
    """Of as many soft labels as outputs, those of the other domain 0."""
    return (-soft_label * functional.log_softmax(judgement, dim=1)).sum(dim=1).mean()


def published_step(
    network: nn.Module, judge: nn.Module, source: Labelled, target: Unlabelled, method: ClassConditionalAdversarial
) -> None:
    """FADA's loop, at the size of the features: S by the judgement of the target, then D by those of both domains."""
    judge.requires_grad_(False)
    on_source = network(source.images, auxiliary=True)
    torch.autograd.backward(supervised(on_source, source))
    on_target = network(target.images, auxiliary=True)
    source_classes, target_classes = (published_classes(each.logits, method) for each in (on_source, on_target))
    as_source = torch.cat((target_classes, torch.zeros_like(target_classes)), dim=1)
    torch.autograd.backward(method.lambda_adv * published_cross_entropy(judge(on_target.features), as_source))

    judge.requires_grad_(True)
    of_source = torch.cat((source_classes, torch.zeros_like(source_classes)), dim=1)
    of_target = torch.cat((torch.zeros_like(target_classes), target_classes), dim=1)
    for prediction, classes in ((on_source, of_source), (on_target, of_target)):
        torch.autograd.backward(0.5 * published_cross_entropy(judge(prediction.features.detach()), classes))


@pytest.mark.parametrize("values", [{}, {"label_temperature": 0.3, "label_ceiling": 0.4}])
def test_gradients_equal_those_of_the_published_three_judgements(values: dict[str, float]) -> None:
    method = ClassConditionalAdversarial(width=8, lambda_adv=0.5, **values)
    run = training_run(method, batch=4)
    expected = in_float64(run)
    published_step(expected[SEGMENTATION], expected[DISCRIMINATOR], *batches(run), method)
    assert_step_gives(run, expected)


def test_soft_classes_worked_out_by_hand() -> None:
    """Logits 0, 1.8 and 9 at temperature 1.8 are 0, 1 and 5; the last is above the ceiling, and is cut to it."""
    logits = torch.tensor([0.0, 1.8, 9.0], dtype=torch.float64).view(1, 3, 1, 1).requires_grad_()
    total = 1 + math.exp(1) + math.exp(5)
    found = soft_classes(logits, 1.8, 0.9)
    assert found.flatten().tolist() == pytest.approx([1 / total, math.exp(1) / total, 0.9])
    assert not found.requires_grad
    assert soft_classes(logits, 1.8, 1.0).sum().item() == pytest.approx(1)


def test_a_judgement_worked_out_by_hand() -> None:
    """Two classes, so four outputs; over both places of the mean the softmax is of (1/2, 1/4, 1/8, 1/8), and even."""
    judgement = torch.tensor([[4.0, 2.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]).log().T.view(1, 4, 1, 2)
    classes = torch.tensor([[0.9, 0.1], [0.5, 0.5]]).T.view(1, 2, 1, 2)
    as_source = (0.9 * math.log(2) + 0.1 * math.log(4) + math.log(4)) / 2
    as_target = (math.log(8) + math.log(4)) / 2
    assert judged_as(judgement, classes, SOURCE).item() == pytest.approx(as_source)
    assert judged_as(judgement, classes, TARGET).item() == pytest.approx(as_target)


def test_a_discriminator_that_knows_nothing_gives_every_class_of_a_domain_the_same() -> None:
    """At the even softmax each judgement costs log 2C, where no probability is above the ceiling."""
    run = training_run(ClassConditionalAdversarial(width=4, label_ceiling=1.0))
    with torch.no_grad():
        for parameter in run._modules[DISCRIMINATOR].parameters():
            parameter.zero_()
    losses = run.advance(1)
    assert losses["loss/adversarial"] == pytest.approx(math.log(2 * NUM_CLASSES), rel=1e-5)
    assert losses["loss/discriminator"] == pytest.approx(math.log(2 * NUM_CLASSES), rel=1e-5)


def test_half_precision_ends_before_the_softmaxes() -> None:
    logits = torch.tensor([9.0, 0.0, -3.0]).view(1, 3, 1, 1).bfloat16()
    judgement = torch.tensor([0.0, 40.0, 3.0, -9.0, 1.0, 2.0]).view(1, 6, 1, 1).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        classes = soft_classes(logits, 1.8, 1.0)
        loss = judged_as(judgement, classes, TARGET)
    p = np.exp(np.array([9.0, 0.0, -3.0]) / 1.8)
    p /= p.sum()
    z = judgement.double().flatten().numpy()
    log_p = z - np.log(np.exp(z - 40).sum()) - 40
    assert classes.dtype == loss.dtype == torch.float32
    np.testing.assert_allclose(classes.flatten().numpy(), p, rtol=1e-5)
    assert loss.item() == pytest.approx(-(p * log_p[3:]).sum(), rel=1e-5)


def test_the_discriminator_is_the_published_one_for_the_features_of_the_network() -> None:
    run = training_run(ClassConditionalAdversarial(width=6, discriminator_learning_rate=3e-4))
    convolutions = [layer for layer in run._modules[DISCRIMINATOR].modules() if isinstance(layer, nn.Conv2d)]
    assert [(layer.in_channels, layer.out_channels) for layer in convolutions] == [(19, 6), (6, 3), (3, 38)]
    assert {(layer.kernel_size, layer.stride, layer.padding) for layer in convolutions} == {((3, 3), (1, 1), (1, 1))}
    slopes = [
        layer.negative_slope for layer in run._modules[DISCRIMINATOR].modules() if isinstance(layer, nn.LeakyReLU)
    ]
    assert slopes == [0.2, 0.2]
    optimiser = run._optimisers[DISCRIMINATOR]
    assert isinstance(optimiser, torch.optim.Adam)
    assert optimiser.defaults["betas"] == (0.9, 0.99)
    assert optimiser.param_groups[0]["initial_lr"] == 3e-4


def test_parameters_at_the_published_width() -> None:
    """Two heads of 19 outputs each there, one of 38 here."""
    number = sum(parameter.numel() for parameter in discriminator(2048, 256).parameters())
    assert number == 9 * (2048 * 256 + 256 * 128 + 2 * 128 * 19) + 256 + 128 + 38


def test_another_network_has_other_features() -> None:
    run = training_run(ClassConditionalAdversarial(width=4), network=LRASPP())
    assert math.isfinite(run.advance(1)["loss/adversarial"])


def test_the_target_is_judged_once_per_step_and_the_source_moves_no_feature() -> None:
    run = training_run(ClassConditionalAdversarial(width=4))
    judged: list[bool] = []
    run._modules[DISCRIMINATOR].register_forward_hook(lambda _, inputs, __: judged.append(inputs[0].requires_grad))
    run.advance(3)
    assert judged == [False, True] * 3


def test_no_weight_of_the_network_moves_the_discriminator() -> None:
    weak, strong = (training_run(ClassConditionalAdversarial(width=4, lambda_adv=weight)) for weight in (0.0, 1e3))
    for run in (weak, strong):
        run.advance(1)
    assert_same(state(weak)["modules"][DISCRIMINATOR], state(strong)["modules"][DISCRIMINATOR])
    assert any(
        not torch.equal(left, right)
        for left, right in zip(parameters(weak).values(), parameters(strong).values(), strict=True)
    )


def test_the_network_minimises_the_weight_times_the_fooling() -> None:
    run = training_run(ClassConditionalAdversarial(width=4, lambda_adv=0.3))
    step = step_of(run)
    losses = run.methods.methods[0].losses(step)
    assert losses.keys() == {SEGMENTATION, DISCRIMINATOR}
    torch.testing.assert_close(losses[SEGMENTATION], 0.3 * step.noted["loss/adversarial"])
    torch.testing.assert_close(losses[DISCRIMINATOR], step.noted["loss/discriminator"])


def test_beside_others_it_shares_their_passes() -> None:
    run = training_run(Composition((FDA(beta=0.1), ClassConditionalAdversarial(width=4), MinEnt())))
    passes: list[object] = []
    run.network.register_forward_hook(lambda _, inputs, prediction: passes.append(prediction))
    assert {"loss/entropy", "loss/adversarial", "loss/shannon_entropy"} <= run.advance(1).keys()
    assert len(passes) == 2


@pytest.mark.parametrize(
    "values", [{"label_temperature": 0.0}, {"label_ceiling": 0.0}, {"label_ceiling": 1.1}, {"width": 1}]
)
def test_values_without_a_meaning_are_refused(values: dict[str, float]) -> None:
    (name,) = values
    with pytest.raises(ValueError, match=rf"ClassConditionalAdversarial\.{name} must be"):
        ClassConditionalAdversarial(**values)  # type: ignore[arg-type]


def test_published_defaults() -> None:
    assert vars(ClassConditionalAdversarial()) == {
        "lambda_adv": 1e-3,
        "label_temperature": 1.8,
        "label_ceiling": 0.9,
        "width": 256,
        "discriminator_learning_rate": 1e-4,
    }
