"""Room in memory for the libraries, asked for before they are imported: without it they abort the process."""

import resource
import sys

from platform.commands.exits import MACHINE_FAILED, say

LEAST = 6 << 30
"""Bytes of address space that importing PyTorch and Ray takes. Whether Ray starts in what there is, is tried later."""


def require_room() -> None:
    """End the process with one line where its address space is too small for the libraries."""
    room, _ = resource.getrlimit(resource.RLIMIT_AS)
    if room != resource.RLIM_INFINITY and room < LEAST:
        say(
            f"error: the libraries take {LEAST >> 30} GiB of address space, got ulimit -v {room >> 10}, "
            f"{room / 2**30:.1f} GiB; raise that: ulimit -v unlimited"
        )
        sys.exit(MACHINE_FAILED)
