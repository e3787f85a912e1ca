"""The user's side of a cluster: a study on a real head that does not need its user."""

import os
import re
import signal
import socket
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import checkout
from tests.support.checkout import Checkout
from tests.support.cluster.remote_user import TOKEN, answer, refused, with_token, without_ray
from tests.support.faults.processes import MARK, Command, Machine
from tests.support.faults.small_study import TEXT
from tests.support.patience import PATIENCE

TINY = TEXT.replace("ASHA(trials=6,", "ASHA(trials=2,").replace("seeds=2", "seeds=1")
ENDLESS = TEXT.replace("steps=16", "steps=1_000_000")


@pytest.fixture
def user(fresh_checkout: Checkout) -> Checkout:
    """A user's machine."""
    return with_token(fresh_checkout)


@dataclass(frozen=True)
class Head:
    """A Ray head on this machine, and what its studies leave."""

    url: str
    address: str
    results: Path


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Head]:
    """A head like that of `cluster.yaml`: a token, results elsewhere than in the checkout, python first on the path."""
    pytest.importorskip("opencensus", reason="a head with a dashboard needs ray[default]")
    folder = tmp_path_factory.mktemp("head")
    (folder / ".ray").mkdir()
    (folder / ".ray" / "auth_token").write_text(TOKEN)
    made = checkout.make(folder / "checkout", cache)
    environment = without_ray(made.environment) | {
        "HOME": str(folder),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PLATFORM_RESULTS": str(folder / "results"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "RAY_AUTH_MODE": "token",
    }
    machine = Machine(Checkout(folder, environment), study="")
    port, dashboard, agent, client = free_ports(4)
    # Sockets lie below it, whose paths must be short.
    # What is killed may still write for a moment.
    short = tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)
    with short as temporary, (folder / "ray.txt").open("w") as output:
        arguments = f"start --head --block --num-cpus=2 --object-store-memory=100000000 --disable-usage-stats \
            --port={port} --ray-client-server-port={client} --temp-dir={temporary} --dashboard-host=127.0.0.1 \
            --dashboard-port={dashboard} --dashboard-agent-listen-port={agent}".split()
        try:
            machine.checkout.start(*arguments, module="ray.scripts.scripts", output=output, **{MARK: machine.mark})
            url = f"http://127.0.0.1:{dashboard}"
            wait_for_ray(url)
            yield Head(url, f"127.0.0.1:{port}", folder / "results")
        finally:
            machine.lose_power()


def free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def wait_for_ray(url: str) -> None:
    request = urllib.request.Request(f"{url}/api/jobs/", headers={"Authorization": f"Bearer {TOKEN}"})
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with suppress(OSError, urllib.error.URLError), urllib.request.urlopen(request, timeout=10):
            return
        time.sleep(0.2)
    raise AssertionError("the head does not start")


@contextmanager
def following(user: Checkout, url: str, study_file: str) -> Iterator[Command]:
    """A `run` in a terminal of its own."""
    followed = user.root / f"followed-{time.monotonic_ns()}.txt"
    with followed.open("w") as output:
        process = user.start("run", study_file, "--dashboard", url, module="platform.remote", output=output)
    try:
        yield Command(process, followed)
    finally:
        process.kill()
        process.wait()


def wait_until(command: Command, text: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while text not in command.output:
        assert command.running, command.output
        assert time.monotonic() < deadline, command.output
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["run studies/quickstart.py", "stop quickstart"])
def test_a_wrong_token(user: Checkout, head: Head, command: str) -> None:
    Path(user.environment["HOME"], ".ray", "auth_token").write_text(TOKEN[::-1])
    assert "the head refuses this machine's token" in refused(user, *command.split(), "--dashboard", head.url)


@pytest.mark.slow
def test_the_study_command_without_the_token(user: Checkout, head: Head) -> None:
    code, output = user.study("studies/quickstart.py", "--address", head.address, RAY_AUTH_MODE="disabled")
    assert code == 2, output
    assert output.startswith(f"error: the Ray cluster at {head.address} asks for its token; set RAY_AUTH_MODE"), output


@pytest.mark.slow
def test_stopping_what_does_not_run(user: Checkout, head: Head) -> None:
    assert "absent is not running on the cluster" in refused(user, "stop", "absent", "--dashboard", head.url)


@pytest.mark.slow
def test_a_study_to_its_table(user: Checkout, head: Head) -> None:
    """Its output and exit code are those of the study command, whatever the user's shell says of other Rays."""
    file = user.write("tiny.py", TINY)
    elsewhere = {"RAY_ADDRESS": "127.0.0.1:1", "RAY_API_SERVER_ADDRESS": "http://127.0.0.1:1"}
    code, output, error = answer(user, "run", file, "--dashboard", head.url, **elsewhere)
    assert code == 0, output + error
    assert "6/6" in output
    assert str(head.results / "tiny" / "table.md") in output
    assert re.fullmatch(r"tiny is job tiny-\d{8}-\d{6}; Ctrl-C leaves it running\n", error)
    assert "source only" in (head.results / "tiny" / "table.md").read_text()
    assert not (user.root / "results").exists()


@pytest.mark.slow
def test_a_study_that_is_refused_there(user: Checkout, head: Head) -> None:
    file = user.write("refused.py", TINY)
    code, output, _ = answer(user, "run", file, "--data", "/no/such/folder", "--dashboard", head.url)
    assert code == 2
    assert "--data must name a folder that exists" in output


@pytest.mark.slow
def test_a_checkout_that_is_too_large(user: Checkout, head: Head) -> None:
    (user.root / "weights.bin").write_bytes(os.urandom(105 * 1024**2))
    line = refused(user, "run", "studies/quickstart.py", "--dashboard", head.url)
    assert "the checkout is too large" in line
    assert ".gitignore" in line


@pytest.mark.slow
def test_leaving_attaching_and_stopping(user: Checkout, head: Head) -> None:
    file = user.write("endless.py", ENDLESS)
    with following(user, head.url, file) as first:
        wait_until(first, "search 1   begins")
        first.send(signal.SIGINT)
        assert first.wait() == 130
        assert "left: endless goes on" in first.output
    assert "stop it first" in refused(user, "run", file, "--fresh", "--dashboard", head.url)
    with following(user, head.url, file) as second:
        wait_until(second, "search 1   begins")
        assert "endless runs since" in second.output
        (job,) = set(re.findall(r"endless-\d{8}-\d{6}", first.output + second.output))
        assert f"Running entrypoint for job {job}" in second.output
        code, _, said = answer(user, "stop", file, "--dashboard", head.url)
        assert (code, said.splitlines()[-1]) == (0, "endless has stopped; run goes on from there")
        assert second.wait() == 143
        assert "stopped; every step is kept" in second.output
    assert "endless is not running" in refused(user, "stop", "endless", "--dashboard", head.url)


@pytest.mark.slow
def test_a_connection_that_is_lost_and_comes_back(user: Checkout, head: Head) -> None:
    """The log goes on where it was: nothing twice, nothing left out."""
    file = user.write("patient.py", ENDLESS.replace("light", "lighter"))
    with Relay(head.url) as relay, following(user, relay.url, file) as command:
        wait_until(command, "search 1   begins")
        relay.cut()
        wait_until(command, "connection lost")
        relay.mend()
        wait_until(command, "connected again")
        assert answer(user, "stop", "patient", "--dashboard", head.url)[0] == 0
        assert command.wait() == 143
        lines = [line for line in command.output.splitlines() if re.match(r"\d\d:\d\d:\d\d ", line)]
    assert len(lines) == len(set(lines))
    assert {line.split("only")[1].split()[1] for line in lines} == {"0", "1"}


class Relay:
    """Hands connections on to a head, until it is cut."""

    def __init__(self, url: str) -> None:
        self._target = url.removeprefix("http://").split(":")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._connections: list[socket.socket] = []
        self._whole = True

    def __enter__(self) -> "Relay":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """End all connections, and each new one at once."""
        self._whole = False
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Hand connections on again."""
        self._whole = True

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if not self._whole:
                    near.close()
                    continue
                far = socket.create_connection((self._target[0], int(self._target[1])))
                self._connections += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while content := source.recv(65536):
                target.sendall(content)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
