"""The token of the user's clusters, ~/.ray/auth_token or what RAY_AUTH_TOKEN_PATH names: it lets run code on them."""

import os
import stat
from contextlib import suppress
from pathlib import Path

from platform.commands.exits import BadInput, say
from platform.running.machine.private import danger

ANEW = "delete it, and make a new one: ray get-auth-token --generate"


def close_token() -> None:
    """Have nobody else read the token, which Ray's own command leaves open. Raises BadInput where others know it."""
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    with suppress(RuntimeError):  # nobody's home
        token = Path(named) if named else Path.home() / ".ray" / "auth_token"
        # A folder that the user named may hold more than a token.
        if named or _close(token.parent, os.O_DIRECTORY):
            if (found := danger(token.parent.resolve())) is not None:
                raise BadInput(f"Ray's token must lie where only you may exchange it, got {found}; chmod o-w that")
            if _close(token, 0) == "open":
                say(f"note: others could read {token} until now; if this machine has others, {ANEW}")


def _close(path: Path, flags: int) -> str:
    """Take others' rights to a file or folder away; whether it was `open` or `closed`, empty if there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | flags)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise BadInput(f"Ray's token must be yours, got {path}: {error.strerror}; {ANEW}") from error
    try:
        state = os.fstat(descriptor)
        if state.st_uid not in (os.getuid(), 0):
            raise BadInput(f"Ray's token must be yours, got {path} of the user {state.st_uid}; {ANEW}")
        if not flags and (not stat.S_ISREG(state.st_mode) or not os.read(descriptor, 1)):
            raise BadInput(f"Ray's token must be a text in a file, got nothing in {path}; {ANEW}")
        if not state.st_mode & 0o077:
            return "closed"
        with suppress(OSError):
            os.fchmod(descriptor, stat.S_IMODE(state.st_mode) & 0o700)
        if os.fstat(descriptor).st_mode & 0o077:
            raise BadInput(
                f"Ray's token must be closed to others, got {path}, whose mode cannot be changed; "
                "move it to a disk with modes, and name it by RAY_AUTH_TOKEN_PATH"
            )
        return "open"
    finally:
        os.close(descriptor)
