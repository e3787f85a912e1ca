"""How images lie in memory where convolutions are fastest: a pixel's channels side by side, or each channel whole."""

import torch


def layout(device: torch.device) -> torch.memory_format:
    """What suits the convolutions of networks on a device.

    Channels last, but for CPUs whose best instructions are AVX2: there oneDNN takes gradients with respect to the
    weights of such convolutions three to four times as slowly.
    """
    slow = device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX2"
    return torch.contiguous_format if slow else torch.channels_last
