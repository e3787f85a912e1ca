"""What a device is called on record, so that trials whose bits may differ can be told."""

import torch

from platform.records.record import CPU, on_record


def name_of(device: torch.device) -> str:
    """A GPU's name, or its slice's, and how many multiprocessors this process sees of it; `cpu` for none.

    cuDNN promises the same bits on as many multiprocessors of the same kind. A slice by MIG has a name of its own; what
    MPS keeps of a GPU by a percentage of threads shows in their number alone.
    """
    if device.type != "cuda":
        return CPU
    return on_record(torch.cuda.get_device_name(device), torch.cuda.get_device_properties(device).multi_processor_count)
