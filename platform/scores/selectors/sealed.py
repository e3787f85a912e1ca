"""A room without doors: what a selector is computed in, so that it sees its evidence and nothing else.

No file is opened there, nothing imported, no other object of the process looked for. It keeps a researcher from what
would make a table worthless, by mistake mostly; it is no sandbox against malice.
"""

import encodings.idna  # noqa: F401 - socket imports it before it asks for the network, as which a leak should be named
import functools
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.ma  # np.unique imports it when it is first called, where nothing may be imported

REFUSED = (
    *("open", "import", "mmap.", "os.", "shutil.", "glob.", "tempfile.", "socket.", "subprocess.", "sqlite3."),
    *("gc.", "sys._current_", "sys.settrace", "sys.setprofile", "ctypes.", "_thread.start"),
)
"""How the audit events of Python begin that lead out of the room."""


Result = TypeVar("Result")


class Leak(Exception):
    """What a selector reached for outside of its evidence."""


class _Here(threading.local):
    sealed = False
    leak: Leak | None = None


_here = _Here()


def sealed(compute: Callable[[], Result]) -> Result:
    """The result of a computation on a thread of its own, whose frames lead to no evaluation.

    Raises what it raises, and Leak where it reaches for anything but what it was given, also where it goes on after.
    """
    _watch()
    outcome: list[Any] = []

    def computed() -> None:
        _here.sealed = True
        try:
            with np.errstate(all="ignore"):
                outcome.append(compute())
        except BaseException as error:
            outcome.append(_Raised(error))
        finally:
            _here.sealed = False
            if _here.leak is not None:
                outcome[:] = [_Raised(_here.leak)]

    with warnings.catch_warnings():
        # To show where one comes from, Python reads the file.
        warnings.simplefilter("ignore")
        thread = threading.Thread(target=computed, daemon=True)
        thread.start()
        thread.join()
    if isinstance(outcome[0], _Raised):
        raise outcome[0].error
    result: Result = outcome[0]
    return result


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error


@functools.cache
def _watch() -> None:
    """Have Python ask before anything happens; that cannot be taken back, and costs a call at each event."""
    sys.addaudithook(_asked)
    if sys.version_info < (3, 12):
        # It does not ask before a thread begins, which would be outside of the room.
        start = threading._start_new_thread  # type: ignore[attr-defined]
        threading._start_new_thread = functools.partial(_begun, start)  # type: ignore[attr-defined]


def _begun(start: Callable[..., int], *arguments: Any, **named: Any) -> int:
    """Begin a thread, unless from within the room."""
    _asked("_thread.start_new_thread", ())
    return start(*arguments, **named)


def _asked(event: str, arguments: tuple[Any, ...]) -> None:
    if _here.sealed and event.startswith(REFUSED):
        what = f" {arguments[0]!r}" if arguments and isinstance(arguments[0], str) else ""
        _here.leak = Leak(f"{event}{what}")
        raise _here.leak
