"""What has the CPU wait for the device is known by its operations, on whichever device they are taken."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from platform.training.cost.reads import READS
from tests.support.operations import operations_of

LOGITS = torch.linspace(-1, 1, 24).reshape(2, 3, 4)
MASK = LOGITS > 0
POSITIVE = LOGITS[MASK]


def written(values: Tensor | float) -> Tensor:
    """Logits with values where the mask is true."""
    logits = LOGITS.clone()
    logits[MASK] = values
    return logits


@pytest.mark.filterwarnings("ignore:indexing with dtype torch.uint8")
@pytest.mark.parametrize(
    "action",
    [
        lambda: LOGITS.sum().item(),
        lambda: torch.equal(LOGITS, LOGITS),
        lambda: torch.allclose(LOGITS, LOGITS),
        lambda: MASK.nonzero(),
        lambda: torch.where(MASK),
        lambda: LOGITS.masked_select(MASK),
        lambda: torch.unique(LOGITS),
        lambda: torch.unique(LOGITS, dim=1),
        lambda: torch.unique_consecutive(LOGITS),
        lambda: torch.bincount(MASK.flatten().long()),
        lambda: torch.linalg.inv(torch.eye(3)),
        lambda: LOGITS[MASK],
        lambda: LOGITS[:, MASK[1]],
        lambda: LOGITS[MASK.byte()],
        lambda: written(POSITIVE),
        lambda: LOGITS.index_put((MASK,), torch.ones(()), accumulate=True),
        lambda: LOGITS.index_put((torch.tensor([0, 1]), torch.tensor([True, True, False])), torch.ones(())),
    ],
)
def test_what_asks_for_a_number_or_a_size_is_known(action: Callable[[], object]) -> None:
    assert operations_of(action).keys() & READS


@pytest.mark.parametrize(
    "action",
    [
        lambda: torch.where(MASK, LOGITS, 0.0),
        lambda: LOGITS.masked_fill(MASK, 0.0),
        lambda: written(0.0),
        lambda: LOGITS[torch.tensor([1, 0])],
        lambda: LOGITS[:, :, torch.tensor([1, 0])],
        lambda: LOGITS.index_put((torch.tensor([1, 0]),), torch.ones(())),
    ],
)
def test_what_leaves_numbers_on_the_device_is_none_of_it(action: Callable[[], object]) -> None:
    assert not operations_of(action).keys() & READS
