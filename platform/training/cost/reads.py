"""Operations by which the CPU learns a number, or a size, and waits for the device to tell it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

INDEXING = {"aten::index", "aten::index_put", "aten::index_put_"}
"""They first ask where a mask is true."""
BY_A_MASK = " by a mask"
READS = {
    "aten::_local_scalar_dense",
    "aten::equal",
    "aten::allclose",
    "aten::nonzero",
    "aten::masked_select",
    "aten::_unique",
    "aten::_unique2",
    "aten::unique_dim",
    "aten::unique_consecutive",
    "aten::unique_dim_consecutive",
    "aten::bincount",
    "aten::_linalg_check_errors",
    *(name + BY_A_MASK for name in INDEXING),
}
"""Their names, as `operation` has them."""


def operation(func: Any, args: tuple[Any, ...]) -> str:
    """The name of what PyTorch dispatches, as `aten::add`, or `aten::index by a mask` where one is looked through."""
    name: str = func._schema.name
    return name + BY_A_MASK if name in INDEXING and _looks_through_a_mask(*args) else name


def _looks_through_a_mask(
    tensor: Tensor, indices: Sequence[Tensor | None], values: Tensor | None = None, adds: bool = False
) -> bool:
    given = [index for index in indices if index is not None]
    # PyTorch fills in a number of the CPU's, wherever the mask is true.
    if len(given) == 1 and values is not None and values.numel() == 1 and not adds:
        return False
    return any(index.dtype in (torch.bool, torch.uint8) for index in given)
