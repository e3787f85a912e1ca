"""The memory of a device."""

import torch


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: the GPU's, torch's on the CPU, or Python's."""
    # On the CPU torch raises a bare RuntimeError.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)
    )
