"""The memory of a device: how much of a GPU's is the trial's, and whether it ran out."""

import torch

CONTEXT = 512 * 1024**2
"""Bytes that CUDA takes of a GPU for each process, beside what PyTorch allocates."""


def keep_to_share(device: torch.device, share: float) -> None:
    """Have this process allocate no more of a GPU's memory than its share, from before it allocates any.

    Ray counts shares and enforces none. Kept to, a trial that runs out has run out of its own memory, and goes on in
    halves; and how much of it is free, by which cuDNN chooses among its algorithms, is no neighbour's doing.
    """
    if device.type != "cuda" or share >= 1:
        return
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(max(share - CONTEXT / total, share / 2), device)


def room_for_splits(device: torch.device) -> int:
    """Bytes of a GPU's memory that splits may take for good: a tenth of the trial's share; on the CPU none, which reads
    them where they are."""
    if device.type != "cuda":
        return 0
    total = torch.cuda.get_device_properties(device).total_memory
    return int(torch.cuda.get_per_process_memory_fraction(device) * total / 10)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: the GPU's, torch's on the CPU, or Python's."""
    # On the CPU torch raises a bare RuntimeError.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)
    )
