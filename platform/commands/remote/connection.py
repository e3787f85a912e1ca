"""The way from the user's machine to a cluster's head: ssh tunnels and commands, by Ray's own command line."""

import argparse
import atexit
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile, mkdtemp
from typing import IO, TYPE_CHECKING

import yaml

from platform.commands.before.token import close_token
from platform.commands.exits import BadInput
from platform.records.one_line import one_line, without_credentials

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

OPEN_SECONDS = 180.0
"""How long a tunnel may take to open; a cloud's own answers are a part of that."""
DASHBOARD_SECONDS = 30.0
"""How long a dashboard may take to answer through an open tunnel: it starts with the head."""
PAUSE_SECONDS = 1.0
"""The time between two questions to the cluster."""
LINE = 160
"""Characters of a library's message: two lines of a terminal."""
REASONS = (
    (
        re.compile(r"Head node of cluster \((.+)\) not found"),
        "the cluster {0!r} is not up; start it with ray up {cluster}",
    ),
    (re.compile(r"The exception is: (.*(?:[Pp]ropert|is not of type|is not valid).*)"), "{cluster} is wrong: {0}"),
    (re.compile(r"requires the AWS SDK"), "AWS needs boto3, which is not installed here; pip install boto3"),
    (re.compile(r"Unable to locate credentials"), "AWS knows no credentials of this machine; run aws configure"),
    (re.compile(r"^(ssh: .+|.*Permission denied.*)$", re.MULTILINE), "ssh does not reach the head: {0}"),
    (re.compile(r"^(rsync: .+)$", re.MULTILINE), "{0}"),
    (
        re.compile(r"The exception is: Command failed:"),
        "ssh gets no answer from the head; look whether it runs: ray attach {cluster}",
    ),
    (re.compile(r"The exception is: (.+)"), "the cluster is not reached: {0}"),
)
"""What Ray's commands print when they fail, and what that means."""
Reach = Callable[[], AbstractContextManager["JobSubmissionClient"]]
"""Opens a connection to the cluster for as long as it is used."""


class NoAnswer(Exception):
    """The cluster does not answer, or no longer."""


def reach(options: argparse.Namespace) -> Reach:
    """How the cluster is reached, once all that can be checked without it is checked. Raises BadInput."""
    # Ray reads these before it looks at anything else; a cluster of cluster.yaml has a token.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        os.environ.pop(name, None)
    _check_token()
    # What goes wrong is raised; the rest helps nobody but Ray's authors.
    logging.disable(logging.ERROR)
    if options.dashboard is not None:
        if not options.dashboard.startswith(("http://", "https://")):
            got = without_credentials(options.dashboard)
            raise BadInput(f"--dashboard must be a URL like http://127.0.0.1:8265, got {got}")
        return lambda: _connection(options.dashboard)
    prepare_for(options.cluster)
    return lambda: _tunnel(options.cluster)


def prepare_for(cluster: Path) -> None:
    """Have Ray's commands look for the head of a cluster of one's own machines at its address.

    Raises BadInput unless the cluster file is one, with everything filled in that AWS must know.
    """
    if not cluster.is_file():
        raise BadInput(
            f"there is no cluster file {cluster}; run at the root of the checkout, or name it with --cluster"
        )
    try:
        read = yaml.safe_load(cluster.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(f"{cluster} must be YAML: {one_line(error)}; mend the file") from error
    if not isinstance(read, dict) or not isinstance(read.get("provider"), dict):
        raise BadInput(f"{cluster} must be a cluster file of Ray's, which has a section provider; uncomment one")
    if not isinstance(read.get("auth"), dict) or not read["auth"].get("ssh_user"):
        raise BadInput(f"{cluster} must say as whom to log in; give its section auth an ssh_user")
    used = yaml.safe_dump({name: section for name, section in read.items() if name != "metadata"}, width=1000)
    if read["provider"].get("type") == "aws" and (left := re.search(r"[\w-]*FILL-IN", used)) is not None:
        raise BadInput(f"{cluster} must be filled in, got {left[0]}; its first lines say what belongs there")
    if read["provider"].get("type") == "local" and read["provider"].get("head_ip"):
        # Ray's own name for a cluster without one.
        _presume_head(read["provider"], str(read.get("cluster_name", "default")))


def asked(cluster: Path, *arguments: str) -> str:
    """What one of Ray's commands prints. Raises NoAnswer when it fails."""
    with (
        TemporaryFile("w+", encoding="utf-8", errors="replace") as printed,
        _started(_ray(*arguments), printed) as process,
    ):
        code = process.wait()
        printed.seek(0)
        text = printed.read()
    if code != 0:
        raise NoAnswer(_meaning(text, cluster))
    return text


def _presume_head(provider: dict[str, object], name: str) -> None:
    """Have Ray's commands believe that the head of one's own machines is running.

    Ray notes which machines run in /tmp of the machine that ran `ray up`, and nowhere else: no other machine would find
    the cluster, nor that one after a restart. The note lies in a folder of this process, where neither `ray up` nor
    `ray down` reads it.
    """
    from ray.autoscaler._private.local import node_provider
    from ray.autoscaler.tags import NODE_KIND_HEAD, STATUS_UP_TO_DATE, TAG_RAY_NODE_KIND, TAG_RAY_NODE_STATUS

    folder = mkdtemp(prefix="cluster-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["RAY_TMPDIR"] = folder
    running = {TAG_RAY_NODE_KIND: NODE_KIND_HEAD, TAG_RAY_NODE_STATUS: STATUS_UP_TO_DATE}
    node_provider.logger.setLevel(logging.ERROR)
    state = node_provider.LocalNodeProvider({**provider, "worker_ips": []}, name)  # type: ignore[no-untyped-call]
    state.create_node({}, running, 1)  # type: ignore[no-untyped-call]


def _check_token() -> None:
    named = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    if os.environ["RAY_AUTH_MODE"] == "token" and not named and not Path("~/.ray/auth_token").expanduser().is_file():
        raise BadInput(
            "there is no token, ~/.ray/auth_token; copy that of the machine where ray up was run, or make one before "
            "ray up: ray get-auth-token --generate"
        )
    close_token()


@contextmanager
def _connection(dashboard: str) -> Iterator["JobSubmissionClient"]:
    try:
        client = _client(dashboard)
    except NoAnswer as silence:
        raise NoAnswer(
            f"no Ray dashboard answers at {without_credentials(dashboard)} ({silence}); open it, or leave "
            "--dashboard out"
        ) from silence
    yield client


@contextmanager
def _tunnel(cluster: Path) -> Iterator["JobSubmissionClient"]:
    """A connection through ssh, by `ray dashboard`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = _ray("dashboard", str(cluster), "--port", str(port))
    with TemporaryFile("w+", encoding="utf-8", errors="replace") as printed, _started(command, printed) as tunnel:
        yield _client_through(port, tunnel, printed, cluster)


def _client_through(
    port: int, tunnel: "subprocess.Popen[bytes]", printed: IO[str], cluster: Path
) -> "JobSubmissionClient":
    """A client of the head's dashboard, once the tunnel from this port to it is open. Raises NoAnswer."""
    deadline = time.monotonic() + OPEN_SECONDS
    while True:
        try:
            return _client(f"http://127.0.0.1:{port}")
        except NoAnswer as error:
            if tunnel.poll() is not None:
                printed.seek(0)
                raise NoAnswer(_meaning(printed.read(), cluster)) from error
            if _is_open(port):
                # ssh listens here now, so only the dashboard at its other end can still be missing.
                deadline = min(deadline, time.monotonic() + DASHBOARD_SECONDS)
            if time.monotonic() > deadline:
                raise NoAnswer(
                    f"the head can be reached, but Ray's dashboard does not answer there; run ray up {cluster} again"
                ) from error
        time.sleep(PAUSE_SECONDS)


def _is_open(port: int) -> bool:
    """Whether something on this machine takes connections at a port."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _client(dashboard: str) -> "JobSubmissionClient":
    with answered():
        # Importing Ray takes seconds, which no mistake should wait for.
        from ray.job_submission import JobSubmissionClient

        try:
            return JobSubmissionClient(dashboard)
        except (KeyError, ValueError) as error:
            raise NoAnswer("something else listens there") from error


@contextmanager
def answered() -> Iterator[None]:
    """Turn Ray's errors into NoAnswer and BadInput."""
    from aiohttp import ClientError
    from ray.exceptions import AuthenticationError

    try:
        yield
    except BrokenPipeError:
        raise
    except AuthenticationError as refusal:
        raise BadInput(
            "the head refuses this machine's token, ~/.ray/auth_token; copy that of the machine where ray up was run"
        ) from refusal
    except (ClientError, OSError, RuntimeError) as error:
        text = one_line(error, LINE)
        if "Maximum request body size" in text or "exceeds the maximum size" in text:
            raise BadInput(
                f"the checkout is too large to be sent ({text}); name what is large in .gitignore"
            ) from error
        raise NoAnswer(text) from error


def _ray(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ray.scripts.scripts", *arguments]


@contextmanager
def _started(command: list[str], output: IO[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that ends with the context, with its children, and gets no input and no signal of the terminal."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _meaning(printed: str, cluster: Path) -> str:
    """What it means, in one line, that a command of Ray's printed this and failed."""
    for pattern, meaning in REASONS:
        if found := pattern.search(printed):
            return meaning.format(*(part.strip() for part in found.groups()), cluster=cluster)
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return f"ray says: {one_line(lines[-1], LINE) if lines else 'nothing'}"
