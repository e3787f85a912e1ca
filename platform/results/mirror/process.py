"""The driver's end of the process that talks to MLflow."""

import os
import pickle
import selectors
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

from platform.records.provenance import ROOT, package
from platform.records.record import StudyHeader
from platform.records.storage.files import plainly
from platform.results.mirror.messages import Answer, Outage, Request

STUCK_SECONDS = 180.0
"""Time after which a call without an answer is given up: longer than MLflow waits, unless its user wants it to."""
SERVE = "from platform.results.mirror.serving import serve; serve()"
ENDED = "MLflow is away (the process that writes to it ended)"


class Process:
    """The process that talks to MLflow; it ends when its input does, so that it never outlives the driver."""

    def __init__(self, log_file: Path, uri: str, header: StudyHeader) -> None:
        errors: int | IO[bytes] = subprocess.DEVNULL
        with suppress(OSError):
            log_file.parent.mkdir(parents=True, exist_ok=True)
            errors = open(log_file, "ab", opener=plainly)  # noqa: SIM115 - closed once the process has it
        # In a session of its own: Ctrl-C goes to the driver only, which then says what is still to be done.
        self._popen = subprocess.Popen(
            [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(package().parent)!r}); {SERVE}"],
            cwd=ROOT,
            # MLflow and what it uses give some as they are loaded; as errors they would be MLflow's.
            env={name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        if not isinstance(errors, int):
            errors.close()
        self._send((uri, header))

    def __call__(self, request: Request) -> Answer:
        """Send a request and wait for its answer. Raises Outage when the process has ended, or does not answer."""
        self._send(request)
        assert self._popen.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._popen.stdout, selectors.EVENT_READ)
            if not selector.select(STUCK_SECONDS):
                raise Outage(f"MLflow is away (no answer within {STUCK_SECONDS:.0f} s)")
        try:
            return cast(Answer, pickle.load(self._popen.stdout))
        except (EOFError, pickle.UnpicklingError, ValueError) as error:
            raise Outage(ENDED) from error

    def stop(self) -> None:
        """End the process at once, whatever it waits for."""
        self._popen.kill()
        self._popen.wait()
        assert self._popen.stdin is not None
        with suppress(OSError):
            self._popen.stdin.close()

    def _send(self, message: object) -> None:
        assert self._popen.stdin is not None
        try:
            pickle.dump(message, self._popen.stdin)
            self._popen.stdin.flush()
        except (OSError, ValueError) as error:
            raise Outage(ENDED) from error
