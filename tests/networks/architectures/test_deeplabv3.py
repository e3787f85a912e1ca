"""DeepLabV3 against torchvision's, with the same weights."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.resnet import ResNet50_Weights
from torchvision.models.segmentation import (
    DeepLabV3_ResNet50_Weights,
    DeepLabV3_ResNet101_Weights,
    deeplabv3_resnet50,
    deeplabv3_resnet101,
)
from torchvision.transforms.functional import normalize

from platform.networks import DeepLabV3, NoWeights, upsample
from platform.networks.architectures.deeplabv3 import DeepLab
from platform.networks.architectures.resnet import Depth
from platform.networks.cost import multiply_add_operations, parameters
from tests.support.weights import randomise

ON_50, ON_101 = (
    weights.COCO_WITH_VOC_LABELS_V1.meta for weights in (DeepLabV3_ResNet50_Weights, DeepLabV3_ResNet101_Weights)
)
PUBLISHED: dict[Depth, tuple[int, float]] = {
    50: (ON_50["num_params"], ON_50["_ops"]),
    101: (ON_101["num_params"], ON_101["_ops"]),
}


def network(depth: Depth = 50, num_classes: int = 19, seed: int = 0, width: float = 1.0) -> DeepLab:
    torch.manual_seed(seed)
    return DeepLab(depth, num_classes, width)


def oracle_of(net: DeepLab, depth: Depth = 50) -> nn.Module:
    """torchvision's network with the same state: its layers come in the same order, by other names."""
    build = {50: deeplabv3_resnet50, 101: deeplabv3_resnet101}[depth]
    oracle: nn.Module = build(weights=None, weights_backbone=None, num_classes=19, aux_loss=True)
    oracle.load_state_dict(dict(zip(oracle.state_dict(), net.state_dict().values(), strict=True)))
    return oracle


def images(height: int, width: int) -> Tensor:
    return 255 * torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def as_torchvision_normalises(batch: Tensor) -> Tensor:
    preset = DeepLabV3_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1.transforms()
    normalised: Tensor = normalize(batch / 255, preset.mean, preset.std)
    return normalised


@pytest.mark.parametrize(("depth", "height", "width"), [(50, 33, 65), (101, 17, 33)])
def test_logits_at_the_images_size_are_torchvisions(depth: Depth, height: int, width: int) -> None:
    net = network(depth).eval().double()
    oracle, batch = oracle_of(net, depth).eval().double(), images(height, width)
    with torch.no_grad():
        prediction, expected = net(batch, auxiliary=True), oracle(as_torchvision_normalises(batch))
    for logits, name in ((prediction.logits, "out"), (prediction.auxiliary[0], "aux")):
        assert expected[name].std() > 0.01
        torch.testing.assert_close(upsample(logits, (height, width)), expected[name], atol=1e-5, rtol=1e-5)


def test_so_are_gradients_in_training_without_dropout() -> None:
    net = network().double().train()
    oracle = oracle_of(net).double().train()
    for layer in (*net.modules(), *oracle.modules()):
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    batch = images(16, 32)
    prediction, expected = net(batch, auxiliary=True), oracle(net.normalise(batch))
    every = (upsample(logits, (16, 32)) for logits in (prediction.logits, *prediction.auxiliary))
    torch.autograd.backward([logits.square().mean() for logits in every])
    torch.autograd.backward([logits.square().mean() for logits in expected.values()])
    for (name, ours), theirs in zip(net.named_parameters(), oracle.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-8, rtol=1e-6, msg=name)


def test_dropout_is_torchvisions() -> None:
    net = network(width=0.125)
    dropouts = [layer.p for layer in net.modules() if isinstance(layer, nn.Dropout)]
    assert dropouts == [
        layer.p
        for layer in deeplabv3_resnet50(weights_backbone=None, aux_loss=True).modules()
        if isinstance(layer, nn.Dropout)
    ]


def test_it_starts_like_torchvisions() -> None:
    net = network()
    torch.manual_seed(1)
    oracle = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=19, aux_loss=True).state_dict()
    for (name, ours), theirs in zip(net.state_dict().items(), oracle.values(), strict=True):
        if ours.dim() == 4:
            torch.testing.assert_close(ours.std(), theirs.std(), atol=0, rtol=0.05, msg=name)


@pytest.mark.parametrize("depth", PUBLISHED)
def test_parameters_and_operations_are_the_published_ones(depth: Depth) -> None:
    """torchvision's figures: 21 classes, multiply-accumulates at 520 x 520, with the auxiliary classifier."""
    published, billions = PUBLISHED[depth]
    with torch.device("meta"):
        net, batch = DeepLab(depth, num_classes=21).eval(), torch.empty(1, 3, 520, 520)
    assert parameters(net) == published
    assert multiply_add_operations(net, batch, auxiliary=True) / 2e9 == pytest.approx(billions, abs=1e-3)
    with torch.device("meta"):
        assert parameters(DeepLab(depth)) == published - 2 * 2 * (256 + 1)


@pytest.mark.parametrize(("depth", "gflops"), [(50, 654.308), (101, 964.620)])
def test_operations_at_512_x_1024(depth: Depth, gflops: float) -> None:
    with torch.device("meta"):
        net, batch = DeepLab(depth).eval(), torch.empty(1, 3, 512, 1024)
    assert multiply_add_operations(net, batch) / 1e9 == pytest.approx(gflops, abs=5e-4)


def test_width_scales_every_channel_count() -> None:
    with torch.device("meta"):
        whole, eighth = DeepLab(50), DeepLab(50, width=0.125)
    for (name, wide), narrow in zip(whole.named_parameters(), eighth.parameters(), strict=True):
        kept = (1, 3, 7, 19)
        assert list(narrow.shape) == [size if size in kept else size // 8 for size in wide.shape], name


def test_the_classifier_sees_the_features() -> None:
    net = network(width=0.125).eval()
    with torch.no_grad():
        prediction = net(images(33, 65).float())
        assert torch.equal(prediction.logits, net.classifier(prediction.features))
    assert prediction.features.shape == (2, 32, 5, 9)


def test_pretrained_loads_the_backbone_only(checkpoints: Path) -> None:
    torch.manual_seed(5)
    weights = randomise(resnet50()).state_dict()
    torch.save(weights, checkpoints / Path(ResNet50_Weights.IMAGENET1K_V1.url).name)
    torch.manual_seed(0)
    net = DeepLabV3(backbone="ResNet-50", pretrained=True).build()
    assert isinstance(net, DeepLab)
    assert net.backbone() is net.resnet
    for name, value in net.resnet.state_dict().items():
        assert torch.equal(value, weights[name]), name
    assert torch.equal(net.classifier.weight, network().classifier.weight)


@pytest.mark.usefixtures("unreachable")
def test_weights_that_cannot_be_downloaded(checkpoints: Path) -> None:
    with pytest.raises(NoWeights, match=r"ResNet-50.*cannot be downloaded.*pretrained=False"):
        DeepLabV3(backbone="ResNet-50", pretrained=True).build()


def test_descriptions() -> None:
    assert DeepLabV3().backbone == "ResNet-101"
    assert DeepLabV3(pretrained=True).bare() == DeepLabV3()
    with pytest.raises(ValueError, match=r"DeepLabV3\.pretrained must be False unless width is 1, got width=0\.5"):
        DeepLabV3(width=0.5, pretrained=True)
    with pytest.raises(
        ValueError, match=r"DeepLabV3\.backbone must be one of 'ResNet-50', 'ResNet-101', got 'ResNet-18'"
    ):
        DeepLabV3(backbone="ResNet-18")  # type: ignore[arg-type]
