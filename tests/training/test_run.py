"""One training run, checked against what its docstrings promise."""

import copy
import io
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from platform.methods import FDA, Adversarial, SourceOnly
from platform.methods.method import SEGMENTATION
from platform.methods.step import Step
from platform.networks import BiSeNet18, imagenet
from platform.shifts.labels import VOID
from platform.shifts.shift import LabelledImages
from platform.training.device.memory import out_of_memory
from platform.training.device.process import make_deterministic
from platform.training.steps.finite import Diverged
from platform.training.steps.saved import Damaged
from tests.support.own_methods import Scripted
from tests.support.tiny_splits import (
    assert_same,
    bisenet,
    composition,
    parameters,
    running_statistics,
    splits,
    state,
    step_of,
    training_run,
)

MEAN, DEVIATION = (torch.tensor(each).view(3, 1, 1) for each in (imagenet.MEAN, imagenet.DEVIATION))

# Learning rate and optimiser


@pytest.mark.parametrize("power", [0.9, 1.0, 0.0])
def test_every_learning_rate_decays_polynomially_by_step(power: float) -> None:
    run = training_run(Adversarial(width=4), steps=7, power=power, learning_rate=0.02)
    for step in range(7):
        decay = (1 - step / 7) ** power
        run.advance(1)
        assert run.learning_rate == pytest.approx(0.02 * decay)
        for name, initial in ((SEGMENTATION, 0.02), ("discriminator", 1e-4)):
            (group,) = run._optimisers[name].param_groups
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
            assert run._optimisers[name].param_groups[0]["lr"] == pytest.approx(initial * factor)


# Data


# Batch norm


@pytest.mark.parametrize(
    ("batch_norm", "passes"),
    [("mixed", slice(2)), ("source", slice(1)), ("frozen", slice(0)), ("target", slice(1, 2))],
)
def test_batch_norm_modes(batch_norm: str, passes: slice) -> None:
    """Every pass that may moves the running statistics a tenth of the way to its batch's: source, then target."""
    run = training_run(Adversarial(width=4), batch_norm=batch_norm)
    convolution = copy.deepcopy(bisenet(run).context_path.conv1)
    statistics = running_statistics(run)
    batch = step_of(run)
    mean, variance = statistics["context_path.bn1.running_mean"], statistics["context_path.bn1.running_var"]
    for images_ in (batch.source.images, batch.target.images)[passes]:
        with torch.no_grad():
            features = convolution((images_ - MEAN) / DEVIATION)
        mean = 0.9 * mean + 0.1 * features.mean((0, 2, 3))
        variance = 0.9 * variance + 0.1 * features.var((0, 2, 3), unbiased=True)

    run.advance(1)
    after = running_statistics(run)
    torch.testing.assert_close(after["context_path.bn1.running_mean"], mean, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(after["context_path.bn1.running_var"], variance, atol=1e-5, rtol=1e-4)
    moved = {not torch.equal(after[name], statistics[name]) for name in after if name.endswith("running_mean")}
    assert moved == {batch_norm != "frozen"}
    if batch_norm == "frozen":
        assert_same(after, statistics)


@pytest.mark.parametrize("batch_norm", ["mixed", "source", "target"])
def test_the_target_is_normalised_by_its_own_batch(batch_norm: str) -> None:
    """Shifting and stretching all target images changes nothing behind the first norm, up to its epsilon."""
    run = training_run(FDA(), batch_norm=batch_norm)
    step = step_of(run)
    target = step.target
    with torch.no_grad():
        plain = step.segment(target.images, "target")
        before = running_statistics(run)
        stretched = step.segment(MEAN + 1.5 * (target.images - MEAN), "target")
    torch.testing.assert_close(plain.logits, stretched.logits, atol=0.05, rtol=0.05)
    assert run.network.training
    assert all(layer.track_running_stats for layer in run.network.modules() if isinstance(layer, torch.nn.BatchNorm2d))
    if batch_norm == "source":
        assert_same(running_statistics(run), before)


# Divergence


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_run_by_the_name_of_its_step(bad: float) -> None:
    run = training_run(SourceOnly())
    run.advance(2)
    with torch.no_grad():
        bias = bisenet(run).classifier.bias
        assert bias is not None
        bias[0] = bad
    with pytest.raises(Diverged, match=r"the segmentation loss is (nan|inf) at step 3"):
        run.advance(3)


def test_a_run_that_is_interrupted_after_a_loss_that_is_not_finite_leaves_no_checkpoint_of_it() -> None:
    run = training_run(SourceOnly())
    with torch.no_grad():
        bisenet(run).classifier.weight.fill_(torch.nan)
    with pytest.raises(Diverged, match="the segmentation loss is nan at step 1"):
        run.advance(3, stopped=lambda: run.step == 2)
    assert run.step == 2


def test_what_fails_on_numbers_that_are_not_finite_has_diverged() -> None:
    def refuse(step: Step) -> dict[str, Tensor | None]:
        if not step.prediction.logits.isfinite().all():
            raise ValueError("numbers must be finite")
        loss = step.prediction.logits.mean() * (torch.inf if step.number == 1 else 1.0)
        return {SEGMENTATION: loss, "judge": None}

    run = training_run(Scripted(loss=refuse))
    with pytest.raises(Diverged, match=r"the segmentation loss is -?inf at step 2"):
        run.advance(5)


def test_the_message_names_the_player_that_diverged() -> None:
    run = training_run(Adversarial(width=4, lambda_adv=0.0))

    @dataclass(frozen=True, kw_only=True)
    class Broken(Adversarial):
        def losses(self, step: Step) -> dict[str, Tensor]:
            losses = super().losses(step)
            return {SEGMENTATION: losses[SEGMENTATION], "discriminator": losses["discriminator"] * torch.inf}

    run.methods = composition(Broken(width=4))
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
    module, optimiser = run._modules[name], run._optimisers[name]

    def poison(*_: object) -> None:
        if run.step == 2:  # behind the last losses of the interval
            module.state_dict()[tensor].view(-1)[0] = torch.inf

    optimiser.register_step_post_hook(poison)
    run.advance(2)
    with pytest.raises(Diverged, match=rf"^{tensor} of the {name} is not finite at step 3$"):
        run.advance(1)


# Interruption, checkpoints


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
        training_run(SourceOnly()).restore(training_run(SourceOnly(), network=BiSeNet18(width=0.125)).save({}))
    with pytest.raises(Damaged, match="discriminator"):
        training_run(Adversarial(width=4)).restore(training_run(SourceOnly()).save({}))


# Batches in parts


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


# Reproducibility of the process


def test_make_deterministic(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", "CUDNN_CONV_WSCAP_DBG": "256"}
    for name in variables:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    sums = torch.backends.cuda.matmul
    reductions = [f"allow_{half}_reduced_precision_reduction" for half in ("bf16", "fp16")]
    allowed = {name: getattr(sums, name) for name in reductions}
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    try:
        for name in reductions:
            setattr(sums, name, True)
        make_deterministic(2)
        assert torch.get_num_threads() == 2
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert not torch.backends.cudnn.benchmark
        assert not torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
        assert not any(getattr(sums, name) for name in reductions)
        assert {name: os.environ.get(name) for name in variables} == variables
    finally:
        for name, before in allowed.items():
            setattr(sums, name, before)
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
