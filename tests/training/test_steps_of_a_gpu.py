"""What a step asks of a GPU, told without one: the same step on tensors without numbers, and small ones with."""

import functools
from typing import get_args, get_type_hints

import pytest
import torch
from torch import Tensor, nn

from platform.methods import CBST, DACS, FDA, Adversarial, MajorityVote, Method, PseudoLabels, SourceOnly
from platform.methods.adversarial import judgement
from platform.methods.composition import Composition
from platform.methods.self_training import strong_augmentation
from platform.networks import LRASPP, Architecture, BiSeNet18, DeepLabV3, PIDNetSmall, discriminator
from platform.training.cost.reads import READS
from platform.training.data.transfer import Transfer
from platform.training.device.arithmetic import Arithmetic
from platform.training.recipe import Recipe
from platform.training.run import TrainingRun
from tests.support.fake_step import ON_A_GPU, Asked, asked_of_a_gpu
from tests.support.fixed_order import check_fixed_order
from tests.support.operations import operations_of
from tests.support.shelf import ACTING, METHODS
from tests.support.tiny_splits import training_run

MOST_KERNELS = {
    "LabTransfer + RareClassSampling + DACS + MinEnt": 1_380,
    "RareClassSampling + DACS + MaxSquare": 1_330,
    "BatchNormMoments": 1_200,
    "MultiBandTransfer": 1_230,
    "FDA + MultiBandTransfer": 1_270,
}
"""Of compositions that pass four batches, three of them with gradients, of what looks at every layer of batch norm in
passes of its own, and of methods with three teachers; every other step has 1,000 at most."""
SENT_BESIDE: dict[type[Method], int] = {DACS: 3}
"""How many tensors a step sends to the device beside the one piece of what was read."""
PUBLISHED: dict[str, tuple[Method, int, float, float]] = {
    "source only": (SourceOnly(), 420, 12.0, 10.6),
    "FDA": (FDA(), 790, 19.0, 17.2),
    "adversarial": (Adversarial(), 870, 24.5, 22.5),
    "adversarial, separable": (Adversarial(separable=True), 930, 25.0, 23.0),
}
"""Methods at their defaults, and the most kernels and gigabytes of a step of 4 + 4 images at 512 x 1024.

Gigabytes are counted with what is changed in its place as read and written, which it is, and then with it as read
alone: each tensor once an operation, as estimates of a step's time were made.
"""


NETWORKS: dict[str, Architecture] = {
    "BiSeNet": BiSeNet18(width=0.0625),
    "DeepLabV3": DeepLabV3(backbone="ResNet-50", width=0.125),
    "LR-ASPP": LRASPP(),
    "PIDNet": PIDNetSmall(width=0.125),
}


@pytest.fixture(autouse=True)
def all_that_dacs_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """In some steps it neither jitters nor blurs."""
    monkeypatch.setattr(strong_augmentation, "JITTERED", 1.0)
    monkeypatch.setattr(strong_augmentation, "BLURRED", 1.0)


@pytest.mark.parametrize("methods", ACTING, ids=lambda methods: methods.name)
def test_no_step_waits_for_the_device_or_adds_up_in_any_order(methods: Composition) -> None:
    run = training_run(methods, batch=4, augmentation="flip and crop")
    run.advance(1)
    operations = operations_of(run._take_step)
    assert not operations.keys() & READS
    check_fixed_order(methods, operations)


@pytest.mark.parametrize("method", [PseudoLabels(rounds=3), CBST(rounds=3)], ids=str)
def test_no_step_of_a_later_round_waits_for_the_device(method: Method) -> None:
    """Neither those that gather what thresholds are found from, nor those that find them."""
    run = training_run(method, batch=4)
    for _ in range(run.steps):
        operations = operations_of(run._take_step)
        assert not operations.keys() & READS
        check_fixed_order(Composition((method,)), operations)


@pytest.mark.parametrize("batch_norm", get_args(get_type_hints(Recipe)["batch_norm"]))
def test_no_norms_wait_for_the_device(batch_norm: str) -> None:
    methods = Composition((Adversarial(width=4),))
    run = training_run(methods, batch=4, batch_norm=batch_norm)
    run.advance(1)
    operations = operations_of(run._take_step)
    assert not operations.keys() & READS
    check_fixed_order(methods, operations)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_no_network_waits_for_the_device_or_adds_up_in_any_order(network: Architecture) -> None:
    run = training_run(SourceOnly(), batch=4, network=network)
    run.advance(1)
    operations = operations_of(run._take_step)
    assert not operations.keys() & READS
    check_fixed_order(Composition((SourceOnly(),)), operations)


@pytest.mark.parametrize("method", [method for method in METHODS if method != MajorityVote()], ids=str)
def test_one_piece_is_all_that_a_step_sends(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside it DACS sends a random order of the classes, changes of colours, and the weights by which it blurs."""
    run = training_run(method, batch=4)
    run.advance(1)
    sent: list[int] = []
    pieces: list[int] = []
    to, send = Tensor.to, Transfer.send

    def sending(transfer: Transfer, slot: int) -> dict[str, Tensor]:
        pieces.append(slot)
        return send(transfer, slot)

    def noting(tensor: Tensor, *where: object, **options: object) -> Tensor:
        if any(isinstance(each, torch.device | str | Tensor) for each in (*where, *options.values())):
            sent.append(tensor.numel() * tensor.element_size())
        return to(tensor, *where, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(Tensor, "to", noting)
    monkeypatch.setattr(Transfer, "send", sending)
    run._take_step()
    assert len(pieces) == 1
    assert len(sent) == SENT_BESIDE.get(type(method), 0)
    assert sum(sent) <= 2048


# Many rows ask for the same step.
asked = functools.cache(lambda methods: asked_of_a_gpu(methods, Recipe()))


@pytest.mark.parametrize("methods", ACTING, ids=lambda methods: methods.name)
def test_no_full_size_step_takes_many_kernels_or_a_number_from_the_device(methods: Composition) -> None:
    step: Asked = asked(methods)
    assert step.kernels <= MOST_KERNELS.get(methods.name, 1_000)
    assert not step.operations.keys() & READS
    check_fixed_order(methods, step.operations)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_full_size_step_takes_few_kernels_and_little_traffic(name: str) -> None:
    method, kernels, gigabytes, once = PUBLISHED[name]
    step: Asked = asked(Composition((method,)))
    assert 0.9 * kernels < step.kernels <= kernels
    assert 0.9 * gigabytes < step.bytes / 1e9 <= gigabytes
    assert 0.9 * once < step.bytes_once / 1e9 <= once


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
    for module in (discriminator, judgement):
        monkeypatch.setattr(module, "layout", lambda device: ON_A_GPU.images)


@pytest.mark.usefixtures("laid_out_for_a_gpu")
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("method", [Adversarial(width=4), Adversarial(width=4, separable=True), FDA()], ids=str)
def test_every_convolution_gives_channels_last(method: Method, network: Architecture) -> None:
    run = training_run(method, batch=4, network=network)
    layouts = Layouts(run)
    run.advance(1)
    assert layouts.last
    assert all(layouts.last)
