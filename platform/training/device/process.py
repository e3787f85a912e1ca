"""How a process is set up before it trains: the same numbers for the same seed, and memory that it keeps."""

import ctypes
import os
from contextlib import suppress

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""The names of glibc's `mallopt` for what is given back to the system, and for what is taken from it by itself."""
KEPT_BYTES = 512 * 1024**2
LARGEST_BYTES = 32 * 1024**2
"""The most that glibc takes for a threshold."""


def make_deterministic(threads: int) -> None:
    """Make this process give the same numbers for the same seed, with as many threads as the trial has CPUs."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # In MiB. What cuDNN may use beyond depends on who else has memory of the GPU, and with it its choice of algorithm.
    os.environ.setdefault("CUDNN_CONV_WSCAP_DBG", "256")
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    # Sums of products of half precision are float32's everywhere.
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    # Where a device knows no deterministic way, a warning beats no training at all.
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Nothing here reads memory that was never written: one run of the tests, in which it is not a number, says so.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def keep_memory() -> None:
    """Have this process keep some memory that it frees: every step frees and takes the same, page by page.

    Without an effect where the C library is not glibc.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_THRESHOLD, LARGEST_BYTES)
        library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
