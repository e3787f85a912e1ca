"""Batch norm without a count, against PyTorch's own."""

import pytest
import torch
from torch import Tensor, nn

from platform.networks import LRASPP, Architecture, BiSeNet18, BiSeNet101, DeepLabV3, PIDNetSmall
from platform.networks.operations.norm import BatchNorm2d, without_count
from tests.support.operations import operations_of
from tests.support.tiny_splits import assert_same


def both() -> tuple[nn.BatchNorm2d, BatchNorm2d]:
    theirs, ours = nn.BatchNorm2d(3, eps=1e-3, momentum=0.3), BatchNorm2d(3, eps=1e-3, momentum=0.3)
    for number, parameter in enumerate(theirs.parameters()):
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(number))
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def batch(seed: int) -> Tensor:
    return 5 * torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(seed)) + 1


@pytest.mark.parametrize("tracks", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_it_is_pytorchs_but_for_the_count(training: bool, tracks: bool) -> None:
    norms = both()
    for norm in norms:
        norm.train(training)
        norm.track_running_stats = tracks
    for seed in range(3):
        assert torch.equal(*(norm(batch(seed)) for norm in norms))
    theirs, ours = (norm.state_dict() for norm in norms)
    assert theirs.pop("num_batches_tracked") == (3 if training and tracks else 0)
    assert ours.pop("num_batches_tracked") == 0
    assert_same(dict(theirs), dict(ours))


def test_without_a_momentum_it_counts_since_the_mean_of_all_batches_needs_it() -> None:
    norms = both()
    for norm in norms:
        norm.momentum = None
        for seed in range(3):
            norm(batch(seed))
    assert_same(dict(norms[0].state_dict()), dict(norms[1].state_dict()))
    assert norms[1].state_dict()["num_batches_tracked"] == 3


@pytest.mark.parametrize(
    "architecture",
    [
        BiSeNet18(width=0.0625),
        BiSeNet101(width=0.0625),
        LRASPP(),
        DeepLabV3(backbone="ResNet-50", width=0.125),
        PIDNetSmall(width=0.125),
    ],
    ids=repr,
)
def test_no_network_of_ours_adds_to_a_count(architecture: Architecture) -> None:
    network = architecture.build().train()
    images = torch.rand(2, 3, 64, 64)
    operations = operations_of(lambda: network(images, auxiliary=True))
    assert operations["aten::native_batch_norm"] > 20
    counts = [value.item() for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")]
    assert counts == [0] * operations["aten::native_batch_norm"]


def test_what_others_derived_from_pytorchs_stays_as_it_is() -> None:
    class Own(nn.BatchNorm2d):
        """Somebody's."""

    network = nn.Sequential(nn.BatchNorm2d(3), Own(3), nn.BatchNorm1d(3))
    without_count(network)
    assert [type(layer) for layer in network] == [BatchNorm2d, Own, nn.BatchNorm1d]
