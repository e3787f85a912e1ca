"""What keeps others from the Ray of this machine: it listens on loopback only, and asks for a token of its own."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

TOKEN = "token"
VARIABLES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
"""By which Ray's processes know whether there is a token, and which."""


@contextmanager
def guarded(folder: Path) -> Iterator[None]:
    """Have a Ray that starts meanwhile ask for a token that lies in a private folder, whatever others ask for.

    A cluster's token, in the user's home, may be known to colleagues, and a home may be open to others.
    """
    file = folder / TOKEN
    file.touch(0o600, exist_ok=False)
    file.write_text(secrets.token_hex(32), encoding="ascii")
    before = {name: os.environ.pop(name) for name in VARIABLES if name in os.environ}
    os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(file))
    _read_anew()
    try:
        yield
    finally:
        for name in VARIABLES:
            os.environ.pop(name, None)
        os.environ.update(before)
        _read_anew()


@contextmanager
def on_loopback() -> Iterator[None]:
    """Have a Ray that starts meanwhile listen for this machine alone, as it does of itself on macOS and Windows.

    It takes the address 127.0.0.1 from nobody, and makes another of it.
    """
    constants: Any = ray._private.ray_constants
    before = constants.ENABLE_RAY_CLUSTER
    constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before


def _read_anew() -> None:
    """Have this process's Ray forget what it knew of tokens."""
    raylet: Any = ray._raylet
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()
