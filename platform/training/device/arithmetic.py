"""How a device takes a step fastest without giving up its bits: in which types, and with images laid out how."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import nn

from platform.networks.operations.layout import layout


@dataclass(frozen=True)
class Arithmetic:
    """What the passes of networks are taken in."""

    type: torch.dtype
    """Of matrix products and convolutions; everything else is in float32."""
    images: torch.memory_format
    """Whether a pixel's channels lie side by side."""
    weights: torch.memory_format

    @classmethod
    def of(cls, device: torch.device) -> Self:
        """What suits a device.

        bfloat16 where a GPU computes in it, which needs no scaling of losses, float16 on older ones, as Colab's T4, and
        float32 on the CPU, where oneDNN lays out weights for itself.
        """
        if device.type != "cuda":
            return cls(torch.float32, layout(device), torch.contiguous_format)
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return cls(torch.bfloat16 if has_bfloat16 else torch.float16, layout(device), torch.channels_last)

    @property
    def name(self) -> str:
        """The type's name: `bfloat16`."""
        return str(self.type).removeprefix("torch.")

    @property
    def is_half(self) -> bool:
        """Whether passes are taken in half precision."""
        return self.type != torch.float32

    @property
    def is_scaled(self) -> bool:
        """Whether losses are scaled up, lest float16 lose the smallest gradients."""
        return self.type == torch.float16

    def place(self, module: nn.Module, device: torch.device) -> None:
        """Move a module to the device, its weights laid out as suits it."""
        module.to(device)
        module.to(memory_format=self.weights)
