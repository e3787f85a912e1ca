"""What a translation remembers of each target image, so that it is computed once."""

from collections.abc import Callable, MutableMapping

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from platform.methods.batch import Unlabelled


def remembered(
    target: Unlabelled,
    memory: MutableMapping[int, Shaped[Tensor, "..."]],
    look: Callable[[Float[Tensor, "3 height width"]], Shaped[Tensor, "..."]],
) -> Shaped[Tensor, "batch ..."]:
    """What `look` gives of each image of the batch, from memory where it was seen before."""
    indices = target.indices.tolist()
    for index, image in zip(indices, target.images, strict=True):
        if index not in memory:
            memory[index] = look(image)
    return torch.stack([memory[index] for index in indices])
