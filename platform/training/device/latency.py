"""How long what is deployed takes for one image: what real-time segmentation is about."""

import statistics
import time
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from platform.networks.network import Prediction
from platform.networks.operations.upsampling import upsample

WARM_UP, TIMED = 5, 21
"""Images that are segmented before any is timed, as the first find kernels and memory; and those that are timed."""


@torch.inference_mode()
def latency(
    predict: Callable[[Float[Tensor, "1 3 height width"]], Prediction],
    size: tuple[int, int],
    device: torch.device,
    before: Callable[[], object] = lambda: None,
) -> float:
    """Median seconds from an image of `size` = (height, width) to the class of each of its pixels, on a device.

    The image lies there already, and is a batch of its own. Whatever else the machine does at the time is in it, but
    for what is called before each image.
    """
    image = torch.zeros(1, 3, *size, device=device)
    seconds = []
    for _ in range(WARM_UP + TIMED):
        before()
        _wait_for(device)
        began = time.perf_counter()
        # As evaluation has it: argmax takes three times as long.
        upsample(predict(image).logits, size).max(dim=1)
        _wait_for(device)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[WARM_UP:])


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
