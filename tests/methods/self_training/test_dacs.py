"""DACS by hand: what is pasted, with which labels and weights, the gradient that follows, and the teacher."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from platform.methods import DACS, Unlabelled
from platform.methods.method import SEGMENTATION
from platform.methods.self_training import dacs
from platform.methods.self_training.dacs import TEACHER, half_of_the_classes
from platform.networks.network import Domain, Prediction
from platform.shifts.labels import VOID
from platform.shifts.shift import Splits
from platform.training.run import TrainingRun
from platform.training.steps.passes import TrainingPasses
from tests.support.parity import (
    assert_step_gives,
    batches,
    enlarged,
    in_float64,
    step_of,
    supervised,
    void_source,
)
from tests.support.tiny_splits import assert_same, images_of, splits, training_run


@pytest.mark.parametrize(
    ("classes", "pasted"), [([], 0), ([4], 1), ([4, 9], 1), ([0, 4, 9], 2), ([0, 1, 2, 18], 2), ([*range(19)], 10)]
)
@pytest.mark.parametrize("void", [False, True])
def test_half_of_the_classes_rounded_up_are_pasted_whole_and_void_never(
    classes: list[int], pasted: int, void: bool
) -> None:
    present = [*classes, *[VOID] * (void or not classes)]
    labels = torch.tensor([present[(3 * row + column) % len(present)] for row in range(8) for column in range(19)])
    labels = labels.view(8, 19)
    for seed in range(20):
        mask = half_of_the_classes(labels[None], np.random.default_rng(seed))[0]
        chosen = set(labels[mask].tolist())
        assert len(chosen) == pasted
        assert chosen <= {*classes}
        assert not set(labels[~mask].tolist()) & chosen


def test_every_class_is_pasted_as_often_as_the_others() -> None:
    labels, random, draws = torch.tensor([[0, 5, 7, 7, 18, 18, 18, VOID]]), np.random.default_rng(0), 4000
    counted = sum(half_of_the_classes(labels[None], random)[0, 0, [0, 1, 2, 4]].double() for _ in range(draws))
    assert isinstance(counted, Tensor)
    assert ((counted / draws - 0.5).abs() <= 5 * math.sqrt(0.25 / draws)).all()


def test_images_of_a_batch_are_drawn_by_themselves() -> None:
    labels, random = torch.arange(19).view(1, 1, 19).repeat(6, 2, 1), np.random.default_rng(0)
    masks = half_of_the_classes(labels, random)
    assert (masks.sum(dim=(1, 2)) == 2 * 10).all()
    assert len({tuple(mask.flatten().tolist()) for mask in masks}) == 6


def dark_source_and_bright_target() -> Splits:
    """Splits by whose values one can tell from which domain a pixel of a mixed image is."""
    data = splits()
    source = data.source_train.images.pixels[list(range(len(data.source_train)))] // 3
    target = 160 + data.target_adapt.pixels[list(range(len(data.target_adapt)))] // 3
    return replace(
        data,
        source_train=replace(data.source_train, images=images_of(source)),
        target_adapt=images_of(target),
    )


@pytest.fixture
def mixed(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """What was mixed, in turn; it reaches the network without a change of colours."""
    seen: list[Tensor] = []

    def kept(images: Tensor, random: np.random.Generator) -> Tensor:
        seen.append(images)
        return images

    monkeypatch.setattr(dacs, "strongly_augmented", kept)
    return seen


def mixed_loss(prediction: Tensor, labels: np.ndarray, weights: np.ndarray) -> Tensor:
    """The published mean over all pixels of the weight times the cross-entropy, a pixel at a time."""
    log_p = functional.log_softmax(prediction, 1)
    terms = [
        log_p[image, labels[image, row, column], row, column] * -float(weights[image, row, column])
        for image, row, column in np.ndindex(labels.shape)
    ]
    return torch.stack(terms).sum() / labels.size


def taught(teacher: nn.Module, target: Unlabelled, threshold: float) -> tuple[np.ndarray, float]:
    """The labels of a teacher in training mode, and how much of the batch it is sure of, a pixel at a time."""
    with torch.no_grad():
        logits = enlarged(teacher.train()(target.images).logits, target.images).double().numpy()
    labels, sure = np.empty(logits[:, 0].shape, int), 0
    for image, row, column in np.ndindex(labels.shape):
        pixel = logits[image, :, row, column]
        p = np.exp(pixel - pixel.max()) / np.exp(pixel - pixel.max()).sum()
        labels[image, row, column] = p.argmax()
        sure += p.max() >= threshold
    return labels, sure / labels.size


@pytest.mark.parametrize("threshold", [0.0, 0.09, 1.0])
def test_gradients_equal_those_of_the_published_equation(threshold: float, mixed: list[Tensor]) -> None:
    """Of the mean over all pixels, in which pasted ones weigh 1 and the others the teacher's confidence."""
    run = training_run(DACS(lambda_mix=0.7, threshold=threshold), dark_source_and_bright_target())
    expected = in_float64(run)
    network = expected[SEGMENTATION]
    source, target = batches(run)
    labels, sure = taught(expected[TEACHER], target, threshold)
    assert (threshold == 0.09) == (0.0 < sure < 1.0)
    # The run itself says what it mixed; a copy of it, since it moves.
    other = training_run(DACS(threshold=threshold), dark_source_and_bright_target())
    other.advance(1)
    (images,) = mixed
    pasted = (images < 128).all(1)
    assert torch.equal(images, torch.where(pasted[:, None], source.images, target.images))
    chosen = [set(image[mask].tolist()) for image, mask in zip(source.labels, pasted, strict=True)]
    for image, mask, classes in zip(source.labels, pasted, chosen, strict=True):
        assert len(classes) == math.ceil(len({*image.flatten().tolist()} - {VOID}) / 2)
        assert VOID not in classes
        assert torch.equal(mask, torch.isin(image, torch.tensor(sorted(classes))))

    mask = pasted.numpy()
    mixed_labels = np.where(mask, source.labels.numpy(), labels)
    weights = np.where(mask, 1.0, sure)
    loss = supervised(network(source.images, auxiliary=True), source)
    prediction = enlarged(network(images, auxiliary=True).logits, images)
    torch.autograd.backward(loss + 0.7 * mixed_loss(prediction, mixed_labels, weights))
    assert_step_gives(run, {SEGMENTATION: network}, tolerance=1e-6)


class Telling(nn.Module):
    """A teacher that predicts what a test decides."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, images: Tensor, domain: str = "target", auxiliary: bool = False) -> Prediction:
        return Prediction(self.logits, (), self.logits)


def taught_by(logits: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    run = training_run(DACS(threshold=threshold))
    method = run.methods.methods[0]
    assert isinstance(method, DACS)
    return method._taught(replace(step_of(run), modules={TEACHER: Telling(logits)}))


def test_the_confidence_is_the_share_of_the_whole_batch_that_reaches_the_threshold() -> None:
    """A probability of exactly a half, of two classes, is enough for a threshold of a half."""
    logits = torch.full((2, 19, 32, 64), -100.0)
    logits[:, [3, 8]] = 0.0
    logits[0, 8, :16] = 5.0
    labels, confidence = taught_by(logits, 0.5)
    assert confidence.item() == 1.0
    assert {*labels.flatten().tolist()} == {3, 8}
    _, confidence = taught_by(logits, 0.5001)
    assert confidence.item() == pytest.approx(1 / 4)
    _, confidence = taught_by(logits, 1.0)
    assert confidence.item() == 0.0


def test_a_teacher_in_half_precision_is_sure_in_float32() -> None:
    """In bfloat16 the next probability below 1 is 0.996: all of these would be sure beyond 0.999."""
    logits = torch.zeros(2, 19, 32, 64).bfloat16()
    logits[:, 4] = 9.5
    p = math.exp(9.5) / (math.exp(9.5) + 18)
    with torch.autocast("cpu", torch.bfloat16):
        below, above = (taught_by(logits, p + difference)[1] for difference in (-1e-5, 1e-5))
    assert (below.item(), above.item()) == (1.0, 0.0)


def test_without_any_class_in_the_source_the_mixed_image_is_the_target(mixed: list[Tensor]) -> None:
    run = training_run(DACS(threshold=0.0), void_source(dark_source_and_bright_target()))
    noted = run.advance(1)
    target = batches(training_run(DACS(), dark_source_and_bright_target()))[1]
    assert torch.equal(mixed[0], target.images)
    assert noted["loss/cross_entropy"] == 0
    assert math.isfinite(noted["loss/mix"])
    assert noted["loss/mix"] > 0


def test_void_pixels_of_the_source_are_not_in_the_mixed_image(mixed: list[Tensor]) -> None:
    run = training_run(DACS(), dark_source_and_bright_target())
    for _ in range(4):
        source, target = batches(run)
        run.advance(1)
        void = (source.labels == VOID)[:, None].expand_as(source.images)
        assert void.any()
        assert torch.equal(mixed[-1][void], target.images[void])


def test_mixed_images_pass_as_the_targets_and_alone_reach_the_augmentation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dacs, "strongly_augmented", lambda images, random: images * 0 + 7)
    heard: list[tuple[Tensor, Domain]] = []

    class Listening(TrainingPasses):
        def __call__(self, images: Tensor, domain: Domain) -> Prediction:
            heard.append((images, domain))
            return super().__call__(images, domain)

    run = training_run(DACS())
    run.methods.methods[0].losses(step_of(run, segment=Listening(run.network, "mixed", torch.contiguous_format)))
    ((images, domain),) = heard
    assert domain == "target"
    assert (images == 7).all()


def weights_of(module: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def advanced(run: TrainingRun, steps: int) -> list[list[Tensor]]:
    """The network's weights after each step."""
    return [weights_of(run.network) for _ in range(steps) if run.advance(1)]


def test_the_teacher_starts_as_a_copy_and_is_the_mean_of_the_first_networks() -> None:
    """1 - 1 / (number + 1) is 0, 1/2, 2/3: the mean of all networks so far, without the one that was never trained."""
    run = training_run(DACS(), learning_rate=0.1)
    teacher = run._modules[TEACHER]
    assert_same(dict(teacher.state_dict()), dict(run.network.state_dict()))
    after = advanced(run, 1)
    assert all(map(torch.equal, weights_of(teacher), after[0]))
    after += advanced(run, 2)
    for average, *networks in zip(weights_of(teacher), *after, strict=True):
        torch.testing.assert_close(average.double(), torch.stack(networks).double().mean(0), atol=1e-6, rtol=1e-5)


def test_then_it_keeps_as_much_as_its_decay_says() -> None:
    run = training_run(DACS(decay=0.4), learning_rate=0.1)
    first, second, third = advanced(run, 3)
    for average, x, y, z in zip(weights_of(run._modules[TEACHER]), first, second, third, strict=True):
        expected = 0.4 * (0.4 * x.double() + 0.6 * y.double()) + 0.6 * z.double()
        torch.testing.assert_close(average.double(), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("batch_norm", ["mixed", "frozen"])
def test_nothing_but_the_parameters_of_the_teacher_moves_and_none_takes_a_gradient(batch_norm: str) -> None:
    run = training_run(DACS(), batch_norm=batch_norm)
    teacher = run._modules[TEACHER]
    before = {name: buffer.clone() for name, buffer in teacher.named_buffers()}
    run.advance(3)
    assert_same(dict(teacher.named_buffers()), before)
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in teacher.parameters())
    assert TEACHER not in run._optimisers


def test_the_teacher_normalises_as_the_network_does() -> None:
    """By the batch, or, where the recipe freezes batch norm, by its statistics."""
    for batch_norm, training in (("mixed", True), ("source", True), ("frozen", False)):
        run = training_run(DACS(), batch_norm=batch_norm)
        modes: list[bool] = []
        run._modules[TEACHER].register_forward_hook(lambda module, *_, modes=modes: modes.append(module.training))
        run.advance(2)
        assert modes == [training] * 2


def test_a_batch_of_one_image_is_mixed(mixed: list[Tensor]) -> None:
    run = training_run(DACS(threshold=0.0), batch_norm="frozen")
    run.parts = 2
    run.advance(1)
    assert [tuple(images.shape) for images in mixed] == [(1, 3, 32, 64)] * 2


def test_published_defaults() -> None:
    assert vars(DACS()) == {"lambda_mix": 1.0, "threshold": 0.968, "decay": 0.99}
    assert DACS.deployed == SEGMENTATION
