"""`mlflow ui`, started as the README says: it listens on loopback, runs no jobs, and answers no page of other sites."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from platform.commands.study import LOOK
from platform.records.provenance import ROOT
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.slow


def shown() -> set[str]:
    """Each command that shows the runs, where we name it."""
    documents = (ROOT / "README.md", ROOT / "docs" / "running.md")
    lines = re.findall(r"^ {4}(\S.*mlflow ui\b.*?) +#", "\n".join(each.read_text() for each in documents), re.MULTILINE)
    return {*lines, LOOK}


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[psutil.Process, int]]:
    """The server, in a folder without runs, and its port."""
    (command,) = shown()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "MLFLOW_DISABLE_TELEMETRY": "true"}
    folder = tmp_path_factory.mktemp("ui")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            ["bash", "-c", f"{command} --port {port}"],
            cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + PATIENCE
        while answer(port) != 200:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.2)
        yield psutil.Process(process.pid), port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answer(port: int, path: str = "/health", data: bytes | None = None, **headers: str) -> int:
    """The status of an answer; 0 without one."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data, headers=headers)
    with suppress(OSError):
        try:
            return int(urllib.request.urlopen(request, timeout=20).status)
        except urllib.error.HTTPError as error:
            return error.code
    return 0


def test_it_listens_on_loopback_only(ui: tuple[psutil.Process, int]) -> None:
    process, port = ui
    connections = [each for one in (process, *process.children(recursive=True)) for each in one.net_connections("inet")]
    assert {each.laddr for each in connections if each.status == psutil.CONN_LISTEN} == {("127.0.0.1", port)}


def test_it_starts_no_runner_of_jobs(ui: tuple[psutil.Process, int]) -> None:
    lines = [" ".join(child.cmdline()) for child in ui[0].children(recursive=True)]
    assert any("mlflow" in line for line in lines)
    assert [line for line in lines if re.search(r"job|huey", line)] == []


def test_other_sites_pages_change_nothing(ui: tuple[psutil.Process, int]) -> None:
    """Of a name that another site gives to 127.0.0.1, and from a page of such a site."""
    create = "/api/2.0/mlflow/experiments/create"
    wanted = {"data": b'{"name": "theirs"}', "Content-Type": "application/json"}
    assert answer(ui[1], "/api/2.0/mlflow/experiments/list", Host="evil.example") == 403
    assert answer(ui[1], create, Origin="http://evil.example", **wanted) == 403  # type: ignore[arg-type]
    assert answer(ui[1], create, **wanted) == 200, "but one's own"  # type: ignore[arg-type]
