"""What a step asks of a GPU, told without one: the same step on tensors without numbers, and small ones with."""

import pytest
import torch
from torch import Tensor, nn

from platform.methods import FDA, Adversarial, Method, SourceOnly
from platform.methods.composition import Composition
from platform.networks import LRASPP, Architecture, BiSeNet18, discriminator
from platform.training.device.arithmetic import Arithmetic
from platform.training.recipe import Recipe
from platform.training.run import TrainingRun
from tests.methods.test_contract import ACTING, METHODS
from tests.support.fake_step import ON_A_GPU, Asked, asked_of_a_gpu
from tests.support.operations import operations_of
from tests.support.tiny_splits import training_run

READS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::_unique2", "aten::masked_select", "aten::bincount"}
"""Operations by which the CPU learns a number, or a size, and waits for the device to tell it."""
NO_FIXED_ORDER = {
    "aten::upsample_bilinear2d_backward",
    "aten::upsample_bilinear2d",
    "aten::grid_sampler_2d_backward",
    "aten::index_add",
    "aten::index_put",
    "aten::index_put_",
    "aten::_unsafe_index_put",
    "aten::scatter_add",
    "aten::scatter_reduce",
    "aten::nll_loss2d_forward",
    "aten::nll_loss2d_backward",
    "aten::_adaptive_avg_pool2d_backward",
    "aten::reflection_pad2d_backward",
    "aten::replication_pad2d_backward",
    "aten::histc",
    "aten::put_",
}
"""Operations that add up in any order on CUDA, or sort first where a fixed one is asked for."""
PUBLISHED: dict[str, tuple[Method, int, float]] = {
    "source only": (SourceOnly(), 500, 14.0),
    "FDA": (FDA(), 1_000, 22.0),
    "adversarial": (Adversarial(), 1_000, 28.0),
    "adversarial, separable": (Adversarial(separable=True), 1_060, 28.5),
}
"""Methods at their defaults, and the most kernels and gigabytes of a step of 4 + 4 images at 512 x 1024."""


@pytest.mark.parametrize("methods", ACTING, ids=lambda methods: methods.name)
def test_no_step_waits_for_the_device_or_adds_up_in_any_order(methods: Composition) -> None:
    run = training_run(methods, batch=4, augmentation="flip and crop")
    run.advance(1)
    operations = operations_of(run._take_step)
    assert not operations.keys() & READS
    assert not operations.keys() & NO_FIXED_ORDER


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_one_piece_is_all_that_a_step_sends(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside it DACS sends a random order of the classes, and the weights by which it blurs."""
    run = training_run(method, batch=4)
    run.advance(1)
    sent: list[int] = []
    to = Tensor.to

    def noting(tensor: Tensor, *where: object, **options: object) -> Tensor:
        if any(isinstance(each, torch.device) for each in (*where, *options.values())):
            sent.append(tensor.numel() * tensor.element_size())
        return to(tensor, *where, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(Tensor, "to", noting)
    run._take_step()
    assert sum(sent) <= 2048


@pytest.fixture(scope="module")
def asked() -> dict[str, Asked]:
    return {name: asked_of_a_gpu(Composition((method,)), Recipe()) for name, (method, _, _) in PUBLISHED.items()}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_full_size_step_takes_few_kernels_and_little_traffic(name: str, asked: dict[str, Asked]) -> None:
    _, kernels, gigabytes = PUBLISHED[name]
    assert 0.9 * kernels < asked[name].kernels <= kernels
    assert 0.9 * gigabytes < asked[name].bytes / 1e9 <= gigabytes
    assert not asked[name].operations.keys() & (READS | NO_FIXED_ORDER)


class Layouts:
    """Of each convolution's output whether channels are last."""

    def __init__(self, run: TrainingRun) -> None:
        self.last: list[bool] = []
        for module in run._modules.values():
            for layer in module.modules():
                if isinstance(layer, nn.Conv2d):
                    layer.register_forward_hook(self._note)

    def _note(self, layer: nn.Module, inputs: object, output: Tensor) -> None:
        self.last.append(output.is_contiguous(memory_format=torch.channels_last))


@pytest.fixture
def laid_out_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Arithmetic, "of", lambda device: ON_A_GPU)
    monkeypatch.setattr(discriminator, "layout", lambda device: ON_A_GPU.images)


@pytest.mark.usefixtures("laid_out_for_a_gpu")
@pytest.mark.parametrize("network", [BiSeNet18(width=0.0625), LRASPP()], ids=["BiSeNet", "LR-ASPP"])
@pytest.mark.parametrize("method", [Adversarial(width=4), Adversarial(width=4, separable=True), FDA()], ids=str)
def test_every_convolution_gives_channels_last(method: Method, network: Architecture) -> None:
    run = training_run(method, batch=4, network=network)
    layouts = Layouts(run)
    run.advance(1)
    assert layouts.last
    assert all(layouts.last)
