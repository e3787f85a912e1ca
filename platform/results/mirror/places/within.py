"""A limit for calls that know none."""

import threading
from collections.abc import Callable


def within(seconds: float, call: Callable[[], object]) -> None:
    """Carry out a call and raise what it raises; one that takes longer is left to itself. Raises TimeoutError."""
    raised: list[BaseException] = []

    def carry_out() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=carry_out, daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if thread.is_alive():
        raise TimeoutError(f"no answer within {seconds:g} s")
