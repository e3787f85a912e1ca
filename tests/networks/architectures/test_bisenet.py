"""BiSeNet against the published order of operations, and its context path against torchvision's ResNet-18."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import ResNet18_Weights, ResNet101_Weights, resnet18, resnet101
from torchvision.transforms.functional import normalize

from platform.networks import BiSeNet18, BiSeNet101
from platform.networks.architectures.bisenet import BiSeNet
from platform.networks.architectures.resnet import Depth
from platform.networks.cost import multiply_add_operations
from platform.networks.operations.upsampling import upsample
from tests.support.weights import no_weights, randomise

NO_WEIGHTS = no_weights(resnet18(num_classes=10))


def images(batch: int = 2, height: int = 64, width: int = 128, seed: int = 0) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 255


def network(width: float = 0.25, seed: int = 0, depth: Depth = 18) -> BiSeNet:
    torch.manual_seed(seed)
    return BiSeNet(width=width, depth=depth)


def loss(net: BiSeNet, batch: Tensor) -> Tensor:
    prediction = net(batch, auxiliary=True)
    labels = torch.arange(batch.shape[0] * batch.shape[2] * batch.shape[3]).view(-1, *batch.shape[2:]) % 19
    every = [prediction.logits, *prediction.auxiliary]
    return torch.stack([functional.cross_entropy(upsample(logits, (64, 128)), labels) for logits in every]).sum()


def as_torchvision_normalises(batch: Tensor) -> Tensor:
    preset = ResNet18_Weights.IMAGENET1K_V1.transforms()
    normalised: Tensor = normalize(batch / 255, preset.mean, preset.std)
    return normalised


def published(net: BiSeNet, batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The network as published, in evaluation, from tensors only; both sides of `batch` divisible by 32."""
    state: dict[str, Tensor] = net.state_dict()

    def convolve(x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        return functional.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), stride, padding)

    def normalise(x: Tensor, name: str) -> Tensor:
        mean, variance, scale, shift = (
            state[f"{name}.{part}"].view(1, -1, 1, 1) for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * scale + shift

    def block(x: Tensor, name: str, stride: int) -> Tensor:
        return normalise(convolve(x, f"{name}.convolution", stride, 1), f"{name}.norm").clamp(min=0)

    def refine(x: Tensor, name: str) -> Tensor:
        attention = normalise(convolve(x.mean((2, 3), keepdim=True), f"{name}.convolution"), f"{name}.norm")
        return x * attention.sigmoid()

    def enlarge(x: Tensor, factor: int) -> Tensor:
        return functional.interpolate(x, scale_factor=factor, mode="bilinear")

    spatial = x = as_torchvision_normalises(batch)
    for position in range(3):
        spatial = block(spatial, f"spatial_path.{position}", 2)
    cx1, cx2 = net.context_path(x)
    tail = cx2.mean(3, keepdim=True).mean(2, keepdim=True)
    cx1 = enlarge(refine(cx1, "refinements.0"), 2)
    cx2 = enlarge(refine(cx2, "refinements.1") * tail, 4)
    fused = block(torch.cat((spatial, torch.cat((cx1, cx2), 1)), 1), "fusion.block", 1)
    attention = convolve(fused.mean((2, 3), keepdim=True), "fusion.squeeze").clamp(min=0)
    fused = fused * convolve(attention, "fusion.excite").sigmoid() + fused
    return (
        convolve(enlarge(fused, 8), "classifier"),
        enlarge(convolve(cx1, "auxiliary_classifiers.0"), 8),
        enlarge(convolve(cx2, "auxiliary_classifiers.1"), 8),
    )


@pytest.mark.parametrize(("width", "depth"), [(0.25, 18), (1.0, 18), (0.25, 101)])
def test_equals_the_published_order_of_operations(width: float, depth: Depth) -> None:
    # In float64: orders of operations differ by rounding, by more on some processors than on others.
    net = randomise(network(width, depth=depth)).eval().double()
    for name, scale in net.context_path.named_parameters():
        if name.endswith("bn3.weight"):
            # Else what ResNet-101 computes would grow from block to block.
            nn.init.constant_(scale, 0.1)
    batch = images().double()
    with torch.no_grad():
        prediction = net(batch, auxiliary=True)
        for logits, expected in zip((prediction.logits, *prediction.auxiliary), published(net, batch), strict=True):
            assert expected.std() > 0.01
            torch.testing.assert_close(upsample(logits, (64, 128)), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(64, 128), (97, 130), (33, 40), (8, 9), (1, 1)])
def test_logits_are_at_an_eighth_rounded_up_for_any_size(height: int, width: int) -> None:
    with torch.no_grad():
        prediction = network().eval()(images(1, height, width), auxiliary=True)
    assert len(prediction.auxiliary) == 2
    for logits in (prediction.logits, *prediction.auxiliary):
        assert logits.shape == (1, 19, -(-height // 8), -(-width // 8))
    assert upsample(prediction.logits, (height, width)).shape == (1, 19, height, width)


@pytest.mark.parametrize("training", [True, False])
def test_auxiliary_logits_only_when_asked_for(training: bool) -> None:
    net = network().train(training)
    assert net(images()).auxiliary == ()
    assert len(net(images(), auxiliary=True).auxiliary) == 2


def test_auxiliary_heads_leave_the_logits_alone() -> None:
    net = network().eval()
    with torch.no_grad():
        assert torch.equal(net(images()).logits, net(images(), auxiliary=True).logits)


@pytest.mark.parametrize(("width", "expected"), [(1.0, 64), (0.25, 16), (0.1, 6), (1 / 64, 1), (2.0, 128)])
def test_width_scales_the_channels(width: float, expected: int) -> None:
    with torch.device("meta"):
        net = BiSeNet(num_classes=5, width=width)
        logits = net(torch.empty(2, 3, 64, 64)).logits
    assert net.context_path.conv1.out_channels == expected
    assert net.context_path.channels[-1] == round(512 * width)
    assert logits.shape == (2, 5, 8, 8)


def test_number_of_parameters() -> None:
    net = BiSeNet()
    fc = sum(parameter.numel() for parameter in resnet18().fc.parameters())
    auxiliary = sum(parameter.numel() for parameter in net.auxiliary_classifiers.parameters())
    whole = sum(parameter.numel() for parameter in net.parameters())
    assert (fc, auxiliary) == (513_000, 14_630)
    assert whole + fc == 12_581_672
    assert whole - auxiliary == 12_054_042


def test_number_of_parameters_on_resnet_101() -> None:
    """Those of torchvision's ResNet-101, of the paths, and of what takes 1024 and 2048 channels of context."""
    spatial = sum(9 * inputs * outputs + 2 * outputs for inputs, outputs in ((3, 64), (64, 128), (128, 256)))
    refinements = sum(channels * channels + 3 * channels for channels in (1024, 2048))
    fusion = 9 * (256 + 1024 + 2048) * 19 + 2 * 19 + 2 * (19 * 19 + 19)
    classifiers = 19 * (19 + 1) + 19 * (1024 + 1) + 19 * (2048 + 1)
    context = ResNet101_Weights.IMAGENET1K_V1.meta["num_params"] - 1000 * (2048 + 1)
    assert sum(each.numel() for each in resnet101().parameters()) - 1000 * (2048 + 1) == context == 42_500_160
    with torch.device("meta"):
        net = BiSeNet(depth=101)
    assert sum(each.numel() for each in net.parameters()) == context + spatial + refinements + fusion + classifiers


def test_operations_on_resnet_101() -> None:
    """By hand: 2 for each weight and place; of ResNet-101 the first convolution and 33 bottlenecks."""
    places = {stride: 512 * 1024 // stride**2 for stride in (2, 4, 8, 16, 32)}
    products = 3 * 64 * 49 * places[2]
    given = 64
    for narrow, stride, blocks in ((64, 4, 3), (128, 8, 4), (256, 16, 23), (512, 32, 3)):
        before = stride if stride == 4 else stride // 2
        products += given * narrow * places[before] + 9 * narrow**2 * places[stride] + 4 * narrow**2 * places[stride]
        products += given * 4 * narrow * places[stride]
        products += (blocks - 1) * (4 + 9 + 4) * narrow**2 * places[stride]
        given = 4 * narrow
    products += 9 * (3 * 64 * places[2] + 64 * 128 * places[4] + 128 * 256 * places[8])
    products += 1024**2 + 2048**2 + 9 * 3328 * 19 * places[8] + 2 * 19**2
    with torch.device("meta"):
        net, batch = BiSeNet(depth=101).eval(), torch.empty(1, 3, 512, 1024)
    assert multiply_add_operations(net, batch) == 2 * (products + 19**2 * places[8])
    assert multiply_add_operations(net.published(), batch) == 2 * (products + 19**2 * 512 * 1024)
    assert multiply_add_operations(net, batch) / 1e9 == pytest.approx(182.448, abs=5e-4)


@pytest.mark.parametrize("width", [0.0, -1.0, 0.01, float("nan"), float("inf")])
def test_width_without_channels_is_refused(width: float) -> None:
    with pytest.raises(ValueError, match=r"width must be at least 1/64.*got"):
        BiSeNet(width=width)


def test_gradients_reach_every_parameter() -> None:
    net = network()
    torch.autograd.backward(loss(net, images(4)))
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # Batch norm removes the mean of what it gets, and with it a bias that stands before it.
        if not (name.startswith("refinements") and name.endswith("convolution.bias")):
            assert parameter.grad.abs().sum() > 0, name


def test_without_auxiliary_only_their_classifiers_are_idle() -> None:
    net = network()
    net(images(4)).logits.square().mean().backward()
    idle = {name for name, parameter in net.named_parameters() if parameter.grad is None}
    assert idle == {name for name, _ in net.named_parameters() if name.startswith("auxiliary_classifiers")}


def test_same_seed_same_weights_logits_and_gradients() -> None:
    results = []
    for _ in range(2):
        net = network(seed=3)
        value = loss(net, images(4))
        torch.autograd.backward(value)
        results.append([value.detach(), *(parameter.grad for parameter in net.parameters())])
    assert all(torch.equal(first, second) for first, second in zip(*results, strict=True))
    assert not torch.equal(network(seed=3).classifier.weight, network(seed=4).classifier.weight)


def test_state_round_trip_leaves_the_normalisation_out() -> None:
    source, copy = randomise(network(seed=0)).eval(), network(seed=1).eval()
    assert not {"normalise.factor", "normalise.offset"} & source.state_dict().keys()
    assert {"normalise.factor", "normalise.offset"} <= dict(source.named_buffers()).keys()
    copy.load_state_dict(source.state_dict())
    with torch.no_grad():
        assert torch.equal(source(images()).logits, copy(images()).logits)


def test_autocast_keeps_weights_and_gradients_in_float32() -> None:
    net = network()
    with torch.autocast("cpu", torch.bfloat16):
        prediction = net(images(4), auxiliary=True)
        value = sum(logits.float().square().mean() for logits in (prediction.logits, *prediction.auxiliary))
    value.backward()
    assert prediction.logits.dtype == torch.bfloat16
    for parameter in net.parameters():
        assert parameter.grad is not None
        assert parameter.dtype == parameter.grad.dtype == torch.float32
        assert parameter.grad.isfinite().all()


def test_upsampling_is_bilinear_between_pixel_centres() -> None:
    row = torch.tensor([[[[0.0, 1.0]]]])
    assert upsample(row, (1, 4)).flatten().tolist() == [0.0, 0.25, 0.75, 1.0]


def test_descriptions_name_the_same_network_on_another_resnet() -> None:
    for description, depth in ((BiSeNet18(width=0.125), 18), (BiSeNet101(width=0.125), 101)):
        net = description.build()
        assert isinstance(net, BiSeNet)
        assert net.context_path.depth == depth
        assert net.backbone() is net.context_path
    with pytest.raises(ValueError, match=r"BiSeNet101\.pretrained must be False unless width is 1, got width=0\.5"):
        BiSeNet101(width=0.5, pretrained=True)


def test_pretrained_loads_the_context_path_of_resnet_101(checkpoints: Path) -> None:
    torch.manual_seed(5)
    weights = randomise(resnet101()).state_dict()
    torch.save(weights, checkpoints / Path(ResNet101_Weights.IMAGENET1K_V1.url).name)
    net = BiSeNet101(pretrained=True).build()
    assert isinstance(net, BiSeNet)
    for name, value in net.context_path.state_dict().items():
        assert torch.equal(value, weights[name]), name


@pytest.fixture
def checkpoint(checkpoints: Path) -> Path:
    """Where torch hub looks for ResNet-18's weights."""
    return checkpoints / Path(ResNet18_Weights.IMAGENET1K_V1.url).name


def test_pretrained_loads_the_context_path_only(checkpoint: Path) -> None:
    torch.manual_seed(5)
    weights = randomise(resnet18()).state_dict()
    torch.save(weights, checkpoint)
    torch.manual_seed(0)
    net = BiSeNet(pretrained=True)
    for name, value in net.context_path.state_dict().items():
        assert torch.equal(value, weights[name]), name
    assert torch.equal(net.classifier.weight, network(1.0).classifier.weight)


@pytest.mark.usefixtures("unreachable")
def test_weights_that_cannot_be_downloaded(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match="cannot be downloaded") as error:
        BiSeNet(pretrained=True)
    message = str(error.value)
    assert str(checkpoint) in message
    assert "pretrained=False" in message
    assert "\n" not in message


@pytest.mark.parametrize("write", NO_WEIGHTS.values(), ids=NO_WEIGHTS)
def test_weights_that_are_none(checkpoint: Path, write: Callable[[Path], object]) -> None:
    write(checkpoint)
    with pytest.raises(ValueError, match="does not hold the ImageNet weights") as error:
        BiSeNet(pretrained=True)
    assert str(checkpoint) in str(error.value)
    assert "\n" not in str(error.value)


def test_pretrained_weights_exist_for_width_1_only() -> None:
    with pytest.raises(ValueError, match=r"width 1 only, got 0\.5: set width=1 or pretrained=False"):
        BiSeNet(width=0.5, pretrained=True)
