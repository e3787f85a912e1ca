"""GPUs of known names, and how many trials one carries: reckoned from what a step asks of it, none of it measured.

A step takes the device FLOPs / (0.45 peak) + bytes / (0.8 bandwidth), and the host 20 microseconds a kernel to launch,
or a millisecond where it is repeated by one launch: on a device that takes at most `SLOWER` times as long as launching.
Where the device is the slower one a trial fills it. Where launches are, two trials fit, and overlap under MPS.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from platform.design.budget import Resources
from platform.training.cost.traffic import Traffic
from platform.training.device.memory import CONTEXT
from platform.training.steps.graph import SLOWER

OF_PEAK, OF_BANDWIDTH = 0.45, 0.8
"""What convolutions reach of the operations, and element-wise kernels of the bandwidth, that a GPU is sold with."""
LAUNCH_SECONDS = 20e-6
"""What Python and PyTorch take to launch a kernel."""
REPEATED_SECONDS = 1e-3
"""What they take for a step that is repeated by one launch."""
WEIGHT_BYTES = 4 * 4
"""Of a parameter: itself, its gradient, and what its optimiser keeps, of Adam two numbers."""
KEPT_AND_TAKEN = 1.5
"""What a step holds at most, in what it keeps for its backward pass: gradients and what cuDNN works in come to that."""
RAY = "accelerator_type:"
"""What the name of a GPU follows in Ray's resources of a node."""


@dataclass(frozen=True)
class Gpu:
    """A GPU by its data sheet."""

    name: str
    teraflops: float
    """In half precision with sums in float32, dense."""
    bandwidth: float
    """GB/s."""
    memory: float
    """GB."""
    has_bfloat16: bool = True
    """Without, no step is recorded."""

    @property
    def article(self) -> str:
        """A or an, as the name is spoken."""
        return "an" if self.name[0] in "AHLR" else "a"


KNOWN = (
    Gpu("T4", 65, 320, 16, has_bfloat16=False),
    Gpu("V100", 125, 900, 16, has_bfloat16=False),
    Gpu("A10G", 70, 600, 24),
    Gpu("L4", 121, 300, 24),
    Gpu("RTX 3090", 71, 936, 24),
    Gpu("RTX 4090", 165, 1008, 24),
    Gpu("A100", 312, 1555, 40),
    Gpu("H100", 989, 3350, 80),
    Gpu("H200", 989, 4800, 141),
)
LARGER = Gpu("A100 80 GB", 312, 2039, 80)


def known(name: str) -> Gpu | None:
    """The GPU of a name as PyTorch or Ray has it; None for another one, or a slice of one."""
    if "MIG" in name:
        return None
    found = next((gpu for gpu in KNOWN if re.search(rf"\b{gpu.name}\b", name)), None)
    return LARGER if found is not None and found.name == "A100" and "80G" in name else found


def known_of(nodes: Iterable[Resources]) -> list[Gpu]:
    """The GPUs of known names that nodes of a Ray cluster have, each once."""
    names = {name.removeprefix(RAY) for node in nodes for name in node if name.startswith(RAY) and node[name] > 0}
    # A node has its GPU's name in several, of which the longest says its memory.
    longest = [name for name in sorted(names) if not any(other.startswith(f"{name}-") for other in names)]
    return [*dict.fromkeys(gpu for name in longest if (gpu := known(name)) is not None)]


class Load(NamedTuple):
    """What a trial takes of a GPU."""

    device: float
    """Seconds of a step in which the GPU computes."""
    launching: float
    """Seconds of a step in which the host launches."""
    memory: float
    """GB of the GPU."""
    trials: int
    """How many such trials the GPU carries."""


def load(gpu: Gpu, traffic: Traffic, gflops: float) -> Load:
    """What a trial whose step is of so many GFLOP takes of a GPU, and how many such ones it carries."""
    device = gflops / (OF_PEAK * gpu.teraflops * 1e3) + traffic.bytes / (OF_BANDWIDTH * gpu.bandwidth * 1e9)
    launching = LAUNCH_SECONDS * traffic.kernels
    if traffic.is_repeated and gpu.has_bfloat16 and device <= SLOWER * launching:
        launching = REPEATED_SECONDS
    memory = (CONTEXT + WEIGHT_BYTES * traffic.parameters + KEPT_AND_TAKEN * traffic.kept) / 1e9
    in_time = 2 if launching > device else 1
    return Load(device, launching, memory, max(1, min(in_time, int(gpu.memory / memory))))
