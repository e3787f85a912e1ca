"""How long what is deployed takes for one image: what real-time segmentation is about."""

import statistics
import time

import torch

from platform.networks.operations.upsampling import upsample
from platform.training.run import TrainingRun

WARM_UP, TIMED = 5, 21
"""Images that are segmented before any is timed, as the first find kernels and memory; and those that are timed."""


@torch.inference_mode()
def latency(run: TrainingRun, size: tuple[int, int]) -> float:
    """Median seconds from an image of `size` = (height, width) to the class of each of its pixels, on the run's device.

    The image lies there already, and is a batch of its own; the network computes in the precision of evaluations.
    Whatever else the machine does at the time is in it.
    """
    image = torch.zeros(1, 3, *size, device=run.device)
    seconds = []
    for _ in range(WARM_UP + TIMED):
        _wait_for(run.device)
        began = time.perf_counter()
        upsample(run.predict(image, "target").logits, size).argmax(dim=1)
        _wait_for(run.device)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[WARM_UP:])


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
