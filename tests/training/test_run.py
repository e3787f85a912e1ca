"""One training run, checked against what its docstrings promise."""

import copy
import io
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from platform.methods import FDA, Adversarial, Method, SourceOnly, TargetSupervised
from platform.methods.method import SEGMENTATION, Step
from platform.shifts.labels import VOID
from platform.shifts.shift import LabelledImages
from platform.training.evaluation import evaluate, predictions
from platform.training.run import Damaged, Diverged, Interrupted, TrainingRun, make_deterministic, out_of_memory
from tests.support.tiny_splits import (
    CPU,
    SIZE,
    assert_same,
    bisenet,
    images,
    labelled,
    parameters,
    recipe,
    running_statistics,
    splits,
    state,
    training_run,
)

# Learning rate and optimiser


@pytest.mark.parametrize("power", [0.9, 1.0, 0.0])
def test_every_learning_rate_decays_polynomially_by_step(power: float) -> None:
    run = training_run(Adversarial(width=4), steps=7, power=power, learning_rate=0.02)
    for step in range(7):
        decay = (1 - step / 7) ** power
        run.advance(1)
        assert run.learning_rate == pytest.approx(0.02 * decay)
        for name, initial in ((SEGMENTATION, 0.02), ("discriminator", 1e-4)):
            (group,) = run._trained[name].optimiser.param_groups
            assert group["lr"] == pytest.approx(initial * decay)
    assert run.step == run.steps


def test_updates_are_those_of_sgd_with_momentum_and_weight_decay() -> None:
    run = training_run(SourceOnly(), steps=10, learning_rate=0.05, momentum=0.8, weight_decay=0.01, power=0.9)
    expected = {name: value.double() for name, value in parameters(run).items()}
    velocity: dict[str, Tensor] = {}
    for step in range(3):
        run.advance(1)
        for name, parameter in run.network.named_parameters():
            assert parameter.grad is not None
            gradient = parameter.grad.double() + 0.01 * expected[name]
            velocity[name] = gradient if step == 0 else 0.8 * velocity[name] + gradient
            expected[name] = expected[name] - 0.05 * (1 - step / 10) ** 0.9 * velocity[name]
        for name, parameter in run.network.named_parameters():
            torch.testing.assert_close(parameter.detach().double(), expected[name], atol=1e-5, rtol=1e-4)


def test_auxiliary_heads_learn_by_their_weight() -> None:
    gradients = []
    for weight in (0.0, 1.0, 2.0):
        run = training_run(SourceOnly(), auxiliary_weight=weight)
        run.advance(1)
        gradients.append([gradient_of(head.weight) for head in bisenet(run).auxiliary_classifiers])
    none, once, twice = gradients
    assert not any(gradient.any() for gradient in none)
    for single, double in zip(once, twice, strict=True):
        assert single.any()
        torch.testing.assert_close(double, 2 * single)


def gradient_of(weight: Tensor | torch.nn.Module) -> Tensor:
    assert isinstance(weight, Tensor)
    assert weight.grad is not None
    return weight.grad


def test_a_batch_of_void_alone_has_loss_0_and_leaves_finite_weights() -> None:
    data = splits()
    void = LabelledImages(data.source_train.images, np.full_like(data.source_train.labels, VOID))
    run = training_run(SourceOnly(), replace(data, source_train=void))
    assert run.advance(2) == {"loss/cross_entropy": 0.0}
    assert all(value.isfinite().all() for value in parameters(run).values())


def test_advance_returns_means_over_its_steps() -> None:
    whole, stepwise = training_run(Adversarial(width=4)), training_run(Adversarial(width=4))
    single = [stepwise.advance(1) for _ in range(4)]
    means = whole.advance(4)
    assert means.keys() == single[0].keys()
    for name, mean in means.items():
        assert mean == pytest.approx(sum(losses[name] for losses in single) / 4, rel=1e-6)
    assert_same(state(whole), state(stepwise))
    assert whole.step == 4


def test_every_learning_rate_warms_up() -> None:
    run = training_run(Adversarial(width=4), steps=10, warm_up=0.4, power=0.0, learning_rate=0.02)
    for step, factor in enumerate([0.25, 0.5, 0.75, 1.0, 1.0]):
        run.advance(1)
        assert run.step == step + 1
        for name, initial in ((SEGMENTATION, 0.02), ("discriminator", 1e-4)):
            assert run._trained[name].optimiser.param_groups[0]["lr"] == pytest.approx(initial * factor)


# Data


def orders(run: TrainingRun, steps: int) -> tuple[list[int], list[int]]:
    labelled_order, target_order = [], []
    for run.step in range(steps):
        batch = run._batch()
        labelled_order += batch.source.indices.tolist()
        target_order += [] if batch.target is None else batch.target.indices.tolist()
    return labelled_order, target_order


def test_every_epoch_is_another_permutation_of_the_split() -> None:
    labelled_order, target_order = orders(training_run(FDA(), splits(source=7, target=5), batch=3), 35)
    for order, length in ((labelled_order, 7), (target_order, 5)):
        epochs = [order[start : start + length] for start in range(0, len(order) - length + 1, length)]
        assert len(epochs) >= 15
        assert all(sorted(epoch) == list(range(length)) for epoch in epochs)
        assert len({tuple(epoch) for epoch in epochs}) > len(epochs) // 2


def test_source_and_target_are_paired_anew_in_every_epoch() -> None:
    labelled_order, target_order = orders(training_run(FDA(), splits(source=6, target=6)), 30)
    assert labelled_order != target_order
    assert len(set(zip(labelled_order, target_order, strict=True))) > 20


def test_the_order_belongs_to_the_seed() -> None:
    first, again, other = (orders(training_run(FDA(), seed=seed), 10) for seed in (1, 1, 2))
    assert first == again
    assert first[0] != other[0]
    assert first[1] != other[1]


def test_a_batch_larger_than_a_split_is_refused() -> None:
    message = "a training split must hold at least one batch of 6 images, it holds 5; lower the recipe's batch or add"
    for method in (FDA(), Adversarial(), TargetSupervised()):
        with pytest.raises(ValueError, match=message):
            training_run(method, splits(source=7, target=5), batch=6)
    training_run(SourceOnly(), splits(source=7, target=5), batch=6)
    with pytest.raises(ValueError, match="it holds 4"):
        training_run(SourceOnly(), splits(source=4, target=5), batch=5)


# Batch norm


@pytest.mark.parametrize(("batch_norm", "passes"), [("mixed", 2), ("source", 1), ("frozen", 0)])
def test_batch_norm_modes(batch_norm: str, passes: int) -> None:
    """Every pass that may moves the running statistics a tenth of the way to its batch's: source, then target."""
    run = training_run(Adversarial(width=4), batch_norm=batch_norm)
    convolution = copy.deepcopy(bisenet(run).context_path.conv1)
    statistics = running_statistics(run)
    batch = run._batch()
    assert batch.target is not None
    mean, variance = statistics["context_path.bn1.running_mean"], statistics["context_path.bn1.running_var"]
    for images_ in (batch.source.images, batch.target.images)[:passes]:
        with torch.no_grad():
            features = convolution((images_ - bisenet(run).mean) / bisenet(run).deviation)
        mean = 0.9 * mean + 0.1 * features.mean((0, 2, 3))
        variance = 0.9 * variance + 0.1 * features.var((0, 2, 3), unbiased=True)

    run.advance(1)
    after = running_statistics(run)
    torch.testing.assert_close(after["context_path.bn1.running_mean"], mean, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(after["context_path.bn1.running_var"], variance, atol=1e-5, rtol=1e-4)
    counts = [value.item() for name, value in after.items() if name.endswith("num_batches_tracked")]
    assert set(counts) == {passes}
    if batch_norm == "frozen":
        assert_same(after, statistics)


@pytest.mark.parametrize("batch_norm", ["mixed", "source"])
def test_the_target_is_normalised_by_its_own_batch(batch_norm: str) -> None:
    """Shifting and stretching all target images changes nothing behind the first norm, up to its epsilon."""
    run = training_run(FDA(), batch_norm=batch_norm)
    target = run._batch().target
    assert target is not None
    with torch.no_grad():
        plain = run._segment_target(target.images)
        before = running_statistics(run)
        stretched = run._segment_target(bisenet(run).mean + 1.5 * (target.images - bisenet(run).mean))
    torch.testing.assert_close(plain, stretched, atol=0.05, rtol=0.05)
    assert run.network.training
    assert all(layer.track_running_stats for layer in run.network.modules() if isinstance(layer, torch.nn.BatchNorm2d))
    if batch_norm == "source":
        assert_same(running_statistics(run), before)


# Divergence


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_run(bad: float) -> None:
    run = training_run(SourceOnly())
    run.advance(2)
    with torch.no_grad():
        bias = bisenet(run).classifier.bias
        assert bias is not None
        bias[0] = bad
    before = parameters(run)
    with pytest.raises(Diverged, match=r"the segmentation loss is (nan|inf) at step 3"):
        run.advance(3)
    assert run.step == 2
    torch.testing.assert_close(parameters(run), before, equal_nan=True, atol=0, rtol=0)


def test_the_message_names_the_player_that_diverged() -> None:
    run = training_run(Adversarial(width=4, lambda_adv=0.0))

    @dataclass(frozen=True, kw_only=True)
    class Broken(Adversarial):
        def losses(self, step: Step) -> dict[str, Tensor]:
            losses = super().losses(step)
            return {SEGMENTATION: losses[SEGMENTATION], "discriminator": losses["discriminator"] * torch.inf}

    run.method = Broken(width=4)
    with pytest.raises(Diverged, match="the discriminator loss is inf at step 1"):
        run.advance(1)


def test_too_high_a_learning_rate_diverges_or_trains_but_never_goes_on_with_nan() -> None:
    run = training_run(SourceOnly(), learning_rate=1e30)
    with pytest.raises(Diverged, match=r"the segmentation loss is (nan|inf) at step \d"):
        run.advance(5)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        (SEGMENTATION, "context_path.bn1.running_var"),
        (SEGMENTATION, "classifier.bias"),
        ("discriminator", "convolutions.0.weight"),
    ],
)
def test_weights_and_statistics_that_are_not_finite_end_the_run_at_the_end_of_an_interval(
    name: str, tensor: str
) -> None:
    run = training_run(Adversarial(width=4))
    trained = run._trained[name]

    def poison(*_: object) -> None:
        if run.step == 2:  # behind the last losses of the interval
            trained.module.state_dict()[tensor].view(-1)[0] = torch.inf

    trained.optimiser.register_step_post_hook(poison)
    run.advance(2)
    with pytest.raises(Diverged, match=rf"^{tensor} of the {name} is not finite at step 3$"):
        run.advance(1)


# Interruption, checkpoints


def test_evaluation_is_interrupted_between_batches() -> None:
    run, asked = training_run(SourceOnly()), list[None]()
    split = labelled(20, 5)

    def after_two_batches() -> bool:
        asked.append(None)
        return len(asked) == 2

    with pytest.raises(Interrupted):
        evaluate(run, split, after_two_batches)
    assert len(asked) == 2
    assert evaluate(run, split, after_two_batches).sum() == split.labels.size


@dataclass(frozen=True, kw_only=True)
class Pickled:
    """Leaves a file behind when it is unpickled."""

    file: str

    def __reduce__(self) -> tuple[object, ...]:
        return Path(self.file).touch, ()


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    file = tmp_path / "executed"
    buffer = io.BytesIO()
    torch.save({"step": Pickled(file=str(file))}, buffer)
    torch.load(io.BytesIO(buffer.getvalue()), weights_only=False)
    assert file.exists()  # the bait works
    file.unlink()
    for content in (buffer.getvalue(), pickle.dumps(Pickled(file=str(file)))):
        with pytest.raises(Damaged):
            training_run(SourceOnly()).restore(content)
    assert not file.exists()


def test_a_damaged_state_is_refused_or_harmless() -> None:
    """One flipped bit anywhere, or an end anywhere: the state is refused, or the one that was saved."""
    run = training_run(SourceOnly())
    run.advance(1)
    saved = run.save({"report": None})
    torn = [saved[:length] for length in np.linspace(0, len(saved) - 1, 20).astype(int)]
    random, flipped = np.random.default_rng(0), []
    # The last bytes hold the archive's directory.
    for position in [*random.integers(0, len(saved), 60), *random.integers(len(saved) - 20000, len(saved), 60)]:
        changed = bytearray(saved)
        changed[position] ^= 1 << int(random.integers(8))
        flipped.append(bytes(changed))
    restored, refused = training_run(SourceOnly()), 0
    for content in [*torn, *flipped]:
        try:
            restored.restore(content)
        except Damaged:
            refused += 1
        else:
            assert_same(state(restored), state(run))
    assert refused > len(torn) + len(flipped) // 2


def test_a_state_of_another_network_is_refused() -> None:
    with pytest.raises(Damaged, match="size mismatch"):
        training_run(SourceOnly()).restore(training_run(SourceOnly(), network_width=0.125).save({}))
    with pytest.raises(Damaged, match="discriminator"):
        training_run(Adversarial(width=4)).restore(training_run(SourceOnly()).save({}))


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


# Batches in parts


def test_the_gradient_of_two_halves_is_that_of_the_whole_batch() -> None:
    """Where no statistic of the batch takes part: batch norm frozen, and no void, which every mean leaves out."""
    data = splits()
    labels = np.where(data.source_train.labels == VOID, 0, data.source_train.labels)
    data = replace(data, source_train=LabelledImages(data.source_train.images, labels))
    for method in (SourceOnly(), FDA(beta=0.1, entropy_weight=1.0), Adversarial(width=4, lambda_adv=0.5)):
        whole, halved = (training_run(method, data, batch=4, batch_norm="frozen") for _ in range(2))
        halved.parts = 2
        for run in (whole, halved):
            for trained in run._trained.values():
                trained.module.double()
        expected, found = whole.advance(1), halved.advance(1)
        for name in whole._trained:
            for left, right in zip(gradients(halved, name), gradients(whole, name), strict=True):
                torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-9)
        expected.pop("discriminator/spread", None)
        assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)
        assert (whole.step, halved.step) == (1, 1)


def gradients(run: TrainingRun, name: str) -> list[Tensor]:
    return [parameter.grad for parameter in run._trained[name].module.parameters() if parameter.grad is not None]


def test_halves_hold_the_same_images_and_their_terms_are_averaged() -> None:
    seen: list[tuple[list[int], float]] = []

    @dataclass(frozen=True, kw_only=True)
    class Numbered(FDA):
        def losses(self, step: Step) -> dict[str, Tensor]:
            assert step.target is not None
            losses = dict(super().losses(step))
            step.note("number", torch.tensor(float(len(seen))))
            indices = step.source.indices.tolist() + step.target.indices.tolist()
            seen.append((indices, step.noted["loss/cross_entropy"].item()))
            return losses

    run = training_run(Numbered(beta=0.1), batch=4)
    batch = run._batch()
    assert batch.target is not None
    source, target = batch.source.indices.tolist(), batch.target.indices.tolist()
    run.parts = 2
    means = run.advance(1)
    assert [indices for indices, _ in seen] == [source[:2] + target[:2], source[2:] + target[2:]]
    assert means["number"] == 0.5
    assert means["loss/cross_entropy"] == pytest.approx((seen[0][1] + seen[1][1]) / 2)


def test_a_restored_run_stays_in_halves() -> None:
    run = training_run(SourceOnly(), batch=4)
    run.parts = 2
    restored = training_run(SourceOnly(), batch=4)
    restored.restore(run.save({}))
    assert restored.parts == 2


@pytest.mark.parametrize(
    "allocate",
    [lambda: torch.empty(2**60), lambda: np.empty(2**59), lambda: bytearray(2**60)],
    ids=["torch", "NumPy", "Python"],
)
def test_running_out_of_memory_is_recognised(allocate: Callable[[], object]) -> None:
    with pytest.raises((RuntimeError, MemoryError)) as raised:
        allocate()
    assert out_of_memory(raised.value)
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not out_of_memory(RuntimeError("size mismatch"))


# Evaluation


def by_hand(run: TrainingRun, split: LabelledImages) -> np.ndarray:
    """The confusion matrix, counted pixel by pixel from single images."""
    run.network.eval()
    counts = np.zeros((20, 20), np.int64)
    for position in range(len(split)):
        pixels = torch.from_numpy(split.images.pixels[position].copy()).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            logits = run.network(pixels).logits
            resized = functional.interpolate(logits, size=split.labels.shape[1:], mode="bilinear")[0].numpy()
        for row, column in np.ndindex(*split.labels.shape[1:]):
            truth = int(split.labels[position, row, column])
            counts[19 if truth == VOID else truth, int(resized[:, row, column].argmax())] += 1
    return counts


@pytest.mark.parametrize("label_size", [SIZE, (48, 96), (24, 40)])
def test_evaluate_counts_every_pixel_at_the_labels_resolution(label_size: tuple[int, int]) -> None:
    run = training_run(SourceOnly())
    run.advance(2)
    split = LabelledImages(images(9, 5), labelled(9, 5, label_size).labels)
    counts = evaluate(run, split)
    assert counts.dtype == np.int64
    assert counts.sum() == split.labels.size
    np.testing.assert_array_equal(counts, by_hand(run, split))


@pytest.mark.parametrize(("length", "chosen"), [(1, [0]), (3, [0, 1, 2]), (4, [0, 1, 2, 3]), (10, [0, 3, 6, 9])])
def test_predictions_of_a_few_images(length: int, chosen: list[int]) -> None:
    run = training_run(SourceOnly())
    run.advance(1)
    split = labelled(length, 6, (48, 96))
    kept = predictions(run, split)
    np.testing.assert_array_equal(kept["images"], split.images.pixels[chosen])
    np.testing.assert_array_equal(kept["truth"], split.labels[chosen])
    assert kept["prediction"].shape == (len(chosen), 48, 96)
    assert all(array.dtype == np.uint8 for array in kept.values())
    few = LabelledImages(images(length, 6), split.labels)
    expected = sum(
        np.histogram2d(truth.ravel(), predicted.ravel(), bins=(20, 20), range=((0, 20), (0, 20)))[0]
        for truth, predicted in zip(np.where(kept["truth"] == VOID, 19, kept["truth"]), kept["prediction"], strict=True)
    )
    if length <= 4:
        np.testing.assert_array_equal(evaluate(run, few), expected)


# Half precision, as on CUDA: autocast and a scaled loss, here on the CPU in bfloat16


def half_precision_run(method: Method, scale: float = 2.0**16, auxiliary_weight: float = 1.0) -> TrainingRun:
    run = training_run(method, batch=4, auxiliary_weight=auxiliary_weight)
    run._half_precision = True
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
    small, large = half_precision_run(Adversarial(width=4), 1.0), half_precision_run(Adversarial(width=4), 1024.0)
    small.advance(2)
    large.advance(2)
    torch.testing.assert_close(parameters(small), parameters(large), atol=1e-4, rtol=1e-3)


def test_an_overflow_skips_the_step_and_halves_the_scale() -> None:
    run = half_precision_run(Adversarial(width=4), scale=2.0**127, auxiliary_weight=100.0)
    before = parameters(run)
    losses = run.advance(1)
    assert all(np.isfinite(value) for value in losses.values())
    assert run._scaler.get_scale() == 2.0**126
    assert_same(parameters(run), before)
    run.advance(10)
    assert run.step == 11
    for name, after in parameters(run).items():
        assert after.isfinite().all()
        assert not torch.equal(after, before[name]), name


def test_a_restored_run_keeps_the_scale() -> None:
    run, restored = half_precision_run(Adversarial(width=4)), half_precision_run(Adversarial(width=4), scale=8.0)
    run.advance(4)
    assert run._scaler.get_scale() == 2.0**17
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
    expected = run._batch().source.images
    run.advance(1)
    (seen,) = Watched.seen
    assert seen.dtype == torch.float32
    assert torch.equal(seen, expected)


def test_without_a_gpu_precision_is_full() -> None:
    run = TrainingRun(SourceOnly(), recipe(), splits(), 1, 2, CPU)
    assert not run._half_precision
    assert not run._scaler.is_enabled()


# Reproducibility of the process


def test_make_deterministic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    try:
        make_deterministic(2)
        assert torch.get_num_threads() == 2
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert not torch.backends.cudnn.benchmark
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)


def test_training_needs_no_warning_to_be_deterministic(recwarn: pytest.WarningsRecorder) -> None:
    threads = torch.get_num_threads()
    try:
        make_deterministic(1)
        for method in (Adversarial(width=4), FDA(beta=0.1)):
            training_run(method, augmentation="flip and crop").advance(1)
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
    assert [str(warning.message) for warning in recwarn if "deterministic" in str(warning.message)] == []


def test_a_method_must_give_every_player_a_loss() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Forgetful(Adversarial):
        def losses(self, step: Step) -> dict[str, Tensor]:
            return {SEGMENTATION: super().losses(step)[SEGMENTATION]}

    with pytest.raises(ValueError, match="each of its players a loss, discriminator, segmentation, got segmentation"):
        training_run(Forgetful(width=4)).advance(1)
