"""BiSeNet against the published order of operations, and its context path against torchvision's ResNet-18."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.models import ResNet18_Weights, resnet18
from torchvision.transforms.functional import normalize

from platform.networks.architectures.bisenet import BiSeNet
from platform.networks.operations.upsampling import upsample
from tests.support.weights import no_weights, randomise

NO_WEIGHTS = no_weights(resnet18(num_classes=10))


def images(batch: int = 2, height: int = 64, width: int = 128, seed: int = 0) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 255


def network(width: float = 0.25, seed: int = 0) -> BiSeNet:
    torch.manual_seed(seed)
    return BiSeNet(width=width)


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
    cx1, cx2, _ = net.context_path(x)
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


@pytest.mark.parametrize("width", [0.25, 1.0])
def test_equals_the_published_order_of_operations(width: float) -> None:
    # In float64: orders of operations differ by rounding, by more on some processors than on others.
    net = randomise(network(width)).eval().double()
    batch = images().double()
    with torch.no_grad():
        prediction = net(batch, auxiliary=True)
        for logits, expected in zip((prediction.logits, *prediction.auxiliary), published(net, batch), strict=True):
            assert expected.std() > 0.01
            torch.testing.assert_close(upsample(logits, (64, 128)), expected, atol=1e-5, rtol=1e-5)


def test_context_path_is_torchvisions_resnet_18() -> None:
    net = randomise(network(1.0)).eval()
    oracle = resnet18().eval()
    oracle.load_state_dict(net.context_path.state_dict(), strict=False)
    x = torch.randn(1, 3, 97, 130)
    with torch.no_grad():
        sixteenth, thirty_second, tail = net.context_path(x)
        y = oracle.layer2(oracle.layer1(oracle.maxpool(oracle.relu(oracle.bn1(oracle.conv1(x))))))
        torch.testing.assert_close(sixteenth, oracle.layer3(y))
        torch.testing.assert_close(thirty_second, oracle.layer4(oracle.layer3(y)))
        torch.testing.assert_close(tail, oracle.avgpool(thirty_second))


def test_context_path_starts_like_torchvisions_resnet_18() -> None:
    torch.manual_seed(0)
    oracle = resnet18().state_dict()
    state = network(1.0).context_path.state_dict()
    assert set(state) == {name for name in oracle if not name.startswith("fc.")}
    for name, value in state.items():
        assert value.shape == oracle[name].shape
        if value.dtype == torch.float32:
            torch.testing.assert_close(value.std(correction=0), oracle[name].std(correction=0), atol=0, rtol=0.05)


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
    assert net.context_path.channels == round(512 * width)
    assert logits.shape == (2, 5, 8, 8)


def test_number_of_parameters() -> None:
    net = BiSeNet()
    fc = sum(parameter.numel() for parameter in resnet18().fc.parameters())
    auxiliary = sum(parameter.numel() for parameter in net.auxiliary_classifiers.parameters())
    whole = sum(parameter.numel() for parameter in net.parameters())
    assert (fc, auxiliary) == (513_000, 14_630)
    assert whole + fc == 12_581_672
    assert whole - auxiliary == 12_054_042


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
    assert not {"mean", "deviation"} & source.state_dict().keys()
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
