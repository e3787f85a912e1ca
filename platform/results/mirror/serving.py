"""The process that talks to MLflow: answers the tracker's requests, one after another."""

import logging
import os
import pickle
import queue
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from platform.results.mirror.messages import Answer, Closing, Files, Request

if TYPE_CHECKING:
    from platform.results.mirror.mirror import Mirror

ANSWER_SECONDS = 8
"""Time that a call over HTTP may take before the store counts as away."""


OURS = {
    # A call would return before it is made, and what it could not do would be lost with the process.
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    # A text that is too long would be refused, and with it all that comes along.
    "MLFLOW_TRUNCATE_LONG_VALUES": "true",
    # MLflow's own retries would block for minutes; the tracker tries again.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""What MLflow must do here, whatever the user asks of it elsewhere."""
NOT_OURS = (
    # Each metric would be that of a model as well, which the MLflow of a study may not even have.
    "MLFLOW_ACTIVE_MODEL_ID",
    "_MLFLOW_ACTIVE_MODEL_ID",
    # Some of these give out one connection only, or work with other drivers.
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS",
)
"""What MLflow must not do here."""


def prepare() -> None:
    """Set what MLflow reads from the environment, when it is imported or at each call.

    Addresses, names, secrets and limits that a user has set stay.
    """
    os.environ.update(OURS)
    for name in NOT_OURS:
        os.environ.pop(name, None)
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(ANSWER_SECONDS))
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def serve() -> None:
    """Answer a tracker's requests, pickled on standard input and output, until it ends, and then end at once.

    The first is the arguments of `Mirror`. A SQLite file that was replaced ends this process too: MLflow holds on to
    the file that it opened first.
    """
    # When a driver is told to stop, Ray sends SIGTERM to all that it started; but its last reports are still to come.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests,), daemon=True).start()
    prepare()
    from platform.results.mirror.mirror import Mirror
    from platform.results.mirror.reasons import check_environment, trouble
    from platform.results.mirror.uri import without_secrets

    # Every failure is answered; MLflow would write its traceback as well.
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    arguments = requests.get()
    mirror: Mirror | None = None
    while True:
        request: Request = requests.get()
        if mirror is not None and mirror.replaced:
            return
        try:
            if mirror is None:
                check_environment()
                # Here, because making it opens a SQLite store and lays it out.
                mirror = Mirror(*arguments)
            answer = _carry_out(mirror, request)
        except Exception as error:
            answer = Answer(away=without_secrets(trouble(error), arguments[0]))
        pickle.dump(answer, answers)
        answers.flush()


def _carry_out(mirror: "Mirror", request: Request) -> Answer:
    if request is None:
        return mirror.connect()
    if isinstance(request, Files):
        return mirror.store(request)
    if isinstance(request, Closing):
        mirror.close(request)
        return Answer()
    return mirror.deliver(request)


def _receive(requests: "queue.SimpleQueue[Any]") -> None:
    try:
        while True:
            requests.put(pickle.load(sys.stdin.buffer))
    finally:
        # The driver has ended, perhaps while a call of ours hangs.
        os._exit(0)
