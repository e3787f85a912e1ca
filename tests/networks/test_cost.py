"""Costs: the published figures, counts by hand, and players of every kind."""

import dataclasses
import itertools
import json
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet18

from platform.methods import FDA, Adversarial, Method, SourceOnly, TargetSupervised
from platform.networks import BiSeNet18
from platform.networks.architectures.bisenet import BiSeNet, PublishedOrder
from platform.networks.cost import Cost, layer_operations, multiply_add_operations, parameters, torchscan_operations
from platform.networks.discriminator import Discriminator
from platform.networks.operations.upsampling import upsample
from platform.study import Recipe
from platform.training.cost import Estimate, cost_of, estimate_of
from tests.support.tiny_splits import composition


def cost(width: float, discriminator: tuple[int, bool] | None) -> Cost:
    """The cost of a network of a width and of a discriminator (width, separable), if any."""
    return cost_of(composition(method_with(discriminator)), Recipe(network=BiSeNet18(width=width)))


def method_with(discriminator: tuple[int, bool] | None) -> Method:
    return SourceOnly() if discriminator is None else Adversarial(width=discriminator[0], separable=discriminator[1])


class Layer(NamedTuple):
    """A convolution, written down from the papers."""

    inputs: int
    outputs: int
    side: int
    stride: int
    """Ratio of the output's size to the image's."""
    bias: bool = False

    @property
    def elements(self) -> int:
        return self.outputs * max(1, 512 * 1024 // self.stride**2)

    @property
    def multiply_accumulates(self) -> int:
        return self.elements * self.inputs * self.side**2


GLOBAL = 1024
"""The stride of a map of one pixel."""
SPATIAL = [Layer(3, 64, 3, 2), Layer(64, 128, 3, 4), Layer(128, 256, 3, 8)]
RESNET = [Layer(3, 64, 7, 2)] + [Layer(64, 64, 3, 4)] * 4
for narrow, wide, stride in ((64, 128, 8), (128, 256, 16), (256, 512, 32)):
    RESNET += [Layer(narrow, wide, 3, stride), Layer(narrow, wide, 1, stride)] + [Layer(wide, wide, 3, stride)] * 3
REFINEMENTS = [Layer(256, 256, 1, GLOBAL, True), Layer(512, 512, 1, GLOBAL, True)]
FUSION = [Layer(1024, 19, 3, 8), Layer(19, 19, 1, GLOBAL, True), Layer(19, 19, 1, GLOBAL, True)]
CLASSIFIER = Layer(19, 19, 1, 1, True)
PUBLISHED = [*SPATIAL, *RESNET, *REFINEMENTS, *FUSION, CLASSIFIER]
AUXILIARY = [Layer(256, 19, 1, 16, True), Layer(512, 19, 1, 32, True)]
DISCRIMINATOR = [
    Layer(inputs, outputs, 4, 2**number, True)
    for number, (inputs, outputs) in enumerate(itertools.pairwise((19, 64, 128, 256, 512, 1)), start=1)
]


def by_hand(layers: list[Layer]) -> int:
    """Multiplications and additions: one addition fewer than products, and one for the bias."""
    return sum(2 * layer.multiply_accumulates - layer.elements * (not layer.bias) for layer in layers)


def test_the_published_figures() -> None:
    expected = Cost(
        parameters=12_581_672,
        deployed_parameters=12_054_042,
        discriminator_parameters=2_781_121,
        gflops=51.264,
        deployed_gflops=50.892,
        discriminator_gflops=30.878,
        original_gflops=51.423,
        original_discriminator_gflops=30.912,
        step_gflops=505.659,
    )
    assert dataclasses.asdict(cost(1.0, (64, False))) == pytest.approx(dataclasses.asdict(expected), abs=5e-4, rel=0)


def gflops(layers: list[Layer]) -> float:
    return sum(2 * layer.multiply_accumulates for layer in layers) / 1e9


def test_a_step_takes_each_pass_again_for_each_gradient() -> None:
    """One pass of the source; for the adversary, one of each domain, and a judgement of each.

    Of images, and of detached probabilities, nobody asks a gradient. The target's judgement is gone back through twice:
    to the network, without the discriminator's weights, and for these, up to its first layer.
    """
    alone, adversarial = cost(1.0, None), cost(1.0, (64, False))
    trained = [*PUBLISHED[:-1], CLASSIFIER._replace(stride=8), *AUXILIARY]
    network = 3 * gflops(trained) - gflops([SPATIAL[0], RESNET[0]])
    assert alone.step_gflops == pytest.approx(network, rel=3e-4)
    judgement, first = gflops(DISCRIMINATOR), gflops(DISCRIMINATOR[:1])
    source, target = 3 * judgement - first, 4 * judgement - first
    assert adversarial.step_gflops - 2 * alone.step_gflops == pytest.approx(source + target, rel=1e-9)
    translated = cost_of(composition(FDA()), Recipe())
    assert translated.step_gflops == pytest.approx(2 * alone.step_gflops), "it passes the target too"
    assert cost_of(composition(TargetSupervised()), Recipe()) == alone


def test_the_published_figures_of_the_separable_discriminator() -> None:
    counted = cost(1.0, (64, True))
    assert counted.discriminator_parameters == 191_364
    assert counted.discriminator_gflops == pytest.approx(2.1354, abs=5e-5)
    assert counted.original_discriminator_gflops == pytest.approx(2.1690, abs=5e-5)


def test_parameters_from_the_modules_that_carry_them() -> None:
    network = BiSeNet()
    with_classifier = parameters(network) - parameters(network.context_path) + parameters(resnet18())
    counted = cost(1.0, None)
    assert counted.parameters == with_classifier
    assert counted.deployed_parameters == with_classifier - parameters(resnet18().fc) - 19 * (256 + 512 + 2)


def test_multiply_accumulates_by_hand() -> None:
    counted = cost(1.0, (64, False))
    ours = [*PUBLISHED[:-1], CLASSIFIER._replace(stride=8)]
    assert counted.gflops * 1e9 == sum(2 * layer.multiply_accumulates for layer in PUBLISHED)
    assert counted.deployed_gflops * 1e9 == sum(2 * layer.multiply_accumulates for layer in ours)
    assert counted.discriminator_gflops * 1e9 == sum(2 * layer.multiply_accumulates for layer in DISCRIMINATOR)


def test_torchscan_by_hand() -> None:
    normalised = [*SPATIAL, *RESNET, *REFINEMENTS, FUSION[0]]
    batch_norm = sum(4 * layer.elements + 2 * layer.outputs for layer in normalised)
    # A residual block holds one ReLU and calls it twice at one size: its eight blocks count eight.
    blocks = sum(2 * Layer(0, 64 * 2**level, 0, 4 * 2**level).elements for level in range(4))
    relu = sum(layer.elements for layer in SPATIAL) + RESNET[0].elements + blocks + FUSION[0].elements + 19
    max_pool = (3 - 1) * Layer(0, 64, 0, 4).elements
    means = sum(channels * (512 * 1024 // stride**2 + 1) for channels, stride in ((256, 16), (512, 32), (19, 8)))
    sigmoid = 4 * (256 + 512 + 19)
    counted = cost(1.0, (64, False))
    assert counted.original_gflops * 1e9 == by_hand(PUBLISHED) + batch_norm + relu + max_pool + means + sigmoid
    leaky = 4 * DISCRIMINATOR[0].elements
    assert counted.original_discriminator_gflops * 1e9 == by_hand(DISCRIMINATOR) + leaky


@pytest.mark.parametrize(("groups", "bias"), [(1, True), (1, False), (2, True), (4, False)])
def test_a_convolution_operation_by_operation(groups: int, bias: bool) -> None:
    layer = nn.Conv2d(4, 4, 3, stride=2, groups=groups, bias=bias)
    x = torch.randn(1, 4, 7, 9)
    y, operations, products = convolve_counting(layer, x)
    with torch.no_grad():
        torch.testing.assert_close(y, layer(x))
    assert torchscan_operations(layer, x) == operations
    assert multiply_add_operations(layer, x) == 2 * products


def convolve_counting(layer: nn.Conv2d, x: Tensor) -> tuple[Tensor, int, int]:
    """The convolution by loops, its multiplications and additions, and its multiplications alone."""
    y = torch.zeros(1, 4, 3, 4)
    operations = products = 0
    per_group = 4 // layer.groups
    for out, row, column in itertools.product(range(4), range(3), range(4)):
        terms = []
        for channel, down, right in itertools.product(range(per_group), range(3), range(3)):
            pixel = x[0, out // per_group * per_group + channel, 2 * row + down, 2 * column + right]
            terms.append((pixel * layer.weight[out, channel, down, right]).item())
        products += len(terms)
        terms += [] if layer.bias is None else [layer.bias[out].item()]
        operations += len(terms) - 1
        y[0, out, row, column] = sum(terms)
    return y, operations + products, products


def test_a_module_called_again_counts_once() -> None:
    activation = nn.LeakyReLU(0.2)
    x = torch.empty(1, 2, 3, 5)
    assert torchscan_operations(nn.Sequential(activation, activation), x) == 4 * 30
    assert torchscan_operations(nn.Sequential(activation, nn.LeakyReLU(0.2)), x) == 2 * 4 * 30


def test_counting_leaves_no_hook_behind() -> None:
    module = Discriminator(width=2)
    torchscan_operations(module, torch.rand(1, 19, 32, 32))
    assert not any(leaf._forward_hooks for leaf in module.modules())


def test_torchscan_counts_the_sides_of_windows_and_dropout_in_evaluation() -> None:
    """As its version 0.1.1 does: 5 - 1 additions and 2 divisions for each output, and a draw for each input."""
    assert torchscan_operations(nn.AvgPool2d(5, 2, padding=2), torch.empty(1, 3, 6, 8)) == 3 * 3 * 4 * (5 - 1 + 2)
    assert torchscan_operations(nn.Dropout(0.5).eval(), torch.empty(1, 3, 6, 8)) == 3 * 6 * 8
    assert torchscan_operations(nn.Dropout(0.0).eval(), torch.empty(1, 3, 6, 8)) == 0


def test_a_module_that_torchscan_does_not_know_counts_nothing() -> None:
    layers = nn.Sequential(nn.Linear(3, 4), nn.GELU())
    assert torchscan_operations(layers, torch.empty(5, 3)) == 5 * 4 * (3 + 2 + 1)


LAYERS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "a convolution": (nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), (2, 4, 7, 9)),
    "a convolution of rows": (nn.Conv1d(4, 6, 3, bias=False), (2, 4, 9)),
    "a transposed convolution": (nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1), (2, 4, 5, 7)),
    "a transposed convolution in groups": (nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1, groups=2), (2, 4, 5, 7)),
    "a linear layer on a map": (nn.Linear(3, 5), (2, 7, 3)),
    "a layer called twice": (nn.Sequential(*[nn.Conv2d(4, 4, 3)] * 2), (2, 4, 7, 9)),
    "a layer whose weight is computed": (nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 6, 3)), (2, 4, 7, 9)),
    "no layer that multiplies": (nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4).eval()), (2, 4, 7, 9)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_counted_as_torch_counts_them(name: str) -> None:
    module, size = LAYERS[name]
    assert layer_operations(module, torch.zeros(size)) == multiply_add_operations(module, torch.zeros(size))


def test_a_layer_whose_input_is_given_by_name_is_counted() -> None:
    layer, x = nn.ConvTranspose2d(4, 6, 3, stride=2), torch.zeros(1, 4, 5, 7)
    assert layer_operations(layer, input=x) == 2 * (5 * 7) * (4 * 6 * 3 * 3)
    assert torchscan_operations(layer, x) == 0


def test_both_orders_give_the_same_logits() -> None:
    torch.manual_seed(0)
    network = BiSeNet().eval()
    images = torch.rand(2, 3, 97, 130) * 255
    with torch.no_grad():
        ours, theirs = upsample(network(images).logits, (97, 130)), PublishedOrder(network)(images)
    assert theirs.std() > 0.01
    assert (ours - theirs).abs().max() < 1e-4


def test_both_orders_give_the_same_gradients() -> None:
    torch.manual_seed(0)
    network = BiSeNet(width=0.125).double()
    images = torch.rand(4, 3, 64, 64, dtype=torch.float64) * 255
    labels = torch.randint(0, 19, (4, 64, 64))
    used = [p for name, p in network.named_parameters() if not name.startswith("auxiliary")]
    ours = functional.cross_entropy(upsample(network(images).logits, (64, 64)), labels)
    theirs = functional.cross_entropy(PublishedOrder(network)(images), labels)
    pairs = zip(torch.autograd.grad(ours, used), torch.autograd.grad(theirs, used), strict=True)
    for first, second in pairs:
        torch.testing.assert_close(first, second, atol=1e-10, rtol=1e-7)


def test_without_a_discriminator_it_costs_nothing() -> None:
    counted = cost(1.0, None)
    assert counted.discriminator_parameters == 0
    assert counted.discriminator_gflops == counted.original_discriminator_gflops == 0
    assert counted.gflops == cost(1.0, (64, False)).gflops


@pytest.mark.parametrize("width", [0.25, 0.5])
def test_widths_are_counted_from_the_real_modules(width: float) -> None:
    network, discriminator = BiSeNet(width=width), Discriminator(width=16, separable=True)
    counted = cost(width, (16, True))
    unused = parameters(nn.Linear(round(512 * width), 1000))
    assert counted.parameters == parameters(network) + unused
    assert counted.deployed_parameters == parameters(network) - parameters(network.auxiliary_classifiers)
    assert counted.discriminator_parameters == parameters(discriminator)
    assert counted.deployed_gflops < counted.gflops < counted.original_gflops < cost(1.0, None).gflops


def test_counting_is_cached_plain_and_draws_no_random_number() -> None:
    state = torch.get_rng_state()
    counted = cost(0.375, (8, False))
    assert torch.equal(state, torch.get_rng_state())
    assert cost(0.375, (8, False)) is counted
    assert Cost(**json.loads(json.dumps(dataclasses.asdict(counted)))) == counted


@pytest.mark.parametrize("width", [0.125, 0.25, 1.0])
@pytest.mark.parametrize("discriminator", [None, (64, False), (64, True), (16, False), (16, True)])
def test_the_estimate_is_near_the_cost(width: float, discriminator: tuple[int, bool] | None) -> None:
    exact = cost(width, discriminator)
    estimated = estimate_of(composition(method_with(discriminator)), Recipe(network=BiSeNet18(width=width)))
    assert estimated == pytest.approx(tuple(getattr(exact, name) for name in Estimate._fields), rel=0.03)
    assert (estimated.deployed_parameters, estimated.discriminator_parameters) == (
        exact.deployed_parameters,
        exact.discriminator_parameters,
    )
