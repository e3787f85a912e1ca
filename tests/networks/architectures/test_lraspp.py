"""LR-ASPP against torchvision's, with the same weights."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchvision.models import mobilenet_v3_large
from torchvision.models.mobilenetv3 import MobileNet_V3_Large_Weights
from torchvision.models.segmentation import LRASPP_MobileNet_V3_Large_Weights, lraspp_mobilenet_v3_large
from torchvision.transforms.functional import normalize

from platform.networks import LRASPP
from platform.networks.architectures.lraspp import LRASPPNetwork
from platform.networks.cost import multiply_add_operations
from platform.networks.network import NoWeights
from platform.networks.operations.upsampling import upsample
from tests.support.weights import no_weights, randomise

NO_WEIGHTS = no_weights(mobilenet_v3_large(num_classes=10))


def network(num_classes: int = 19, seed: int = 0) -> LRASPPNetwork:
    torch.manual_seed(seed)
    return LRASPPNetwork(num_classes)


def oracle_of(net: LRASPPNetwork, num_classes: int = 19) -> torch.nn.Module:
    """torchvision's network with the same state, whose names are the same."""
    oracle: torch.nn.Module = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=num_classes)
    oracle.load_state_dict(net.model.state_dict())
    return oracle


def as_torchvision_normalises(batch: Tensor) -> Tensor:
    preset = LRASPP_MobileNet_V3_Large_Weights.COCO_WITH_VOC_LABELS_V1.transforms()
    normalised: Tensor = normalize(batch / 255, preset.mean, preset.std)
    return normalised


@pytest.mark.parametrize(("height", "width"), [(64, 128), (33, 65), (97, 130)])
def test_logits_at_the_images_size_are_torchvisions(height: int, width: int) -> None:
    net = randomise(network()).eval().double()
    oracle = oracle_of(net).eval().double()
    batch = 255 * torch.rand(2, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = oracle(as_torchvision_normalises(batch))["out"]
        assert expected.std() > 0.01
        torch.testing.assert_close(upsample(net(batch).logits, (height, width)), expected, atol=1e-5, rtol=1e-5)


def test_operations_are_the_published_ones() -> None:
    """torchvision's figure: 21 classes, multiply-accumulates at 520 x 520."""
    published = LRASPP_MobileNet_V3_Large_Weights.COCO_WITH_VOC_LABELS_V1.meta["_ops"]
    with torch.device("meta"):
        net, batch = network(21).eval(), torch.empty(1, 3, 520, 520)
    assert multiply_add_operations(net, batch) / 2e9 == pytest.approx(published, rel=0.01)


def test_so_are_gradients_in_training() -> None:
    net = randomise(network()).double().train()
    oracle = oracle_of(net).double().train()
    batch = 255 * torch.rand(2, 3, 32, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    # The preset's numbers differ from ours by rounding, which batch norm over two images makes the most of.
    normalised = net.normalise(batch)
    torch.autograd.backward(upsample(net(batch, auxiliary=True).logits, (32, 64)).square().mean())
    torch.autograd.backward(oracle(normalised)["out"].square().mean())
    expected = dict(oracle.named_parameters())
    for name, parameter in net.model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name].grad, atol=1e-8, rtol=1e-6)


def test_number_of_parameters_is_the_published_one() -> None:
    published = LRASPP_MobileNet_V3_Large_Weights.COCO_WITH_VOC_LABELS_V1.meta["num_params"]
    assert published == 3_221_538
    assert sum(parameter.numel() for parameter in network(num_classes=21).parameters()) == published
    # Two classes fewer, in a classifier of 40 channels and in one of 128, each with a bias.
    difference = 2 * (40 + 1) + 2 * (128 + 1)
    assert sum(parameter.numel() for parameter in network().parameters()) == published - difference


def test_the_classifiers_see_the_features() -> None:
    net = randomise(network()).eval()
    with torch.no_grad():
        prediction = net(255 * torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
        low, attended = prediction.features.split([40, 128], dim=1)
        logits = net.model.classifier.low_classifier(low) + net.model.classifier.high_classifier(attended)
    assert torch.equal(prediction.logits, logits)


def test_there_is_no_auxiliary_classifier() -> None:
    net = network().eval()
    assert net(torch.zeros(1, 3, 32, 64), auxiliary=True).auxiliary == ()


@pytest.fixture
def checkpoint(checkpoints: Path) -> Path:
    """Where torch hub looks for MobileNetV3-Large's weights."""
    return checkpoints / Path(MobileNet_V3_Large_Weights.IMAGENET1K_V1.url).name


def test_pretrained_loads_the_backbone_only(checkpoint: Path) -> None:
    torch.manual_seed(5)
    weights = randomise(mobilenet_v3_large()).state_dict()
    torch.save(weights, checkpoint)
    torch.manual_seed(0)
    net = LRASPP(pretrained=True).build()
    assert isinstance(net, LRASPPNetwork)
    backbone = net.backbone().state_dict()
    assert len(backbone) > 200
    for name, value in backbone.items():
        assert torch.equal(value, weights[f"features.{name}"]), name
    assert {name for name in weights if name.startswith("features.")} == {f"features.{name}" for name in backbone}
    plain = network().model.classifier.state_dict()
    for name, value in net.model.classifier.state_dict().items():
        assert torch.equal(value, plain[name]), name


@pytest.mark.usefixtures("unreachable")
def test_weights_that_cannot_be_downloaded(checkpoint: Path) -> None:
    with pytest.raises(NoWeights, match="cannot be downloaded") as error:
        LRASPP(pretrained=True).build()
    message = str(error.value)
    assert "MobileNetV3-Large" in message
    assert str(checkpoint) in message
    assert "pretrained=False" in message
    assert "\n" not in message


@pytest.mark.parametrize("write", NO_WEIGHTS.values(), ids=NO_WEIGHTS)
def test_weights_that_are_none(checkpoint: Path, write: Callable[[Path], object]) -> None:
    write(checkpoint)
    with pytest.raises(NoWeights, match="does not hold the ImageNet weights of MobileNetV3-Large") as error:
        LRASPP(pretrained=True).build()
    assert str(checkpoint) in str(error.value)
    assert "\n" not in str(error.value)
