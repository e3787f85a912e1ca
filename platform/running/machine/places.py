"""Ray's files on this machine: where its processes find each other, and write their logs."""

from pathlib import Path
from typing import Any

import ray


def logs_here() -> Path:
    """Where Ray's processes on this machine write their logs."""
    return Path(_node().get_logs_dir_path())


def needed_places() -> tuple[Path, ...]:
    """The folders and sockets without which nothing new can join."""
    node = _node()
    sockets = (node.raylet_socket_name, node.plasma_store_socket_name)
    return tuple(map(Path, (node.get_session_dir_path(), node.get_logs_dir_path(), *filter(None, sockets))))


def is_gone(place: Path) -> bool:
    """Whether there is nothing in a place, as far as can be seen."""
    try:
        place.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _node() -> Any:
    return ray._private.worker._global_node
