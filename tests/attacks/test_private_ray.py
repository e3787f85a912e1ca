"""A running study, looked at from outside: its ports, sockets and files, and what another user can do with them."""

import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from platform.records.provenance import ROOT
from tests.attacks import break_in
from tests.conftest import NOBODY
from tests.support import checkout
from tests.support.faults import moments
from tests.support.faults.processes import Machine

pytestmark = pytest.mark.slow

SECRET = "5" * 64
"""The token of the user's clusters, which everybody may read."""


@dataclass(frozen=True)
class Running:
    """A study that stands still in the middle of a trial, under the most careless of surroundings."""

    machine: Machine
    driver: psutil.Process
    home: Path
    folder: Path
    """Where its temporary files lie."""

    @property
    def processes(self) -> list[psutil.Process]:
        """The study command and all that it started."""
        return [self.driver, *self.driver.children(recursive=True)]

    @property
    def rays(self) -> Path:
        """The private folder of its Ray."""
        (token,) = self.folder.glob("study-*/token")
        return token.parent


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Running]:
    """Everybody may look into the home; the umask closes nothing; tokens are switched off, and one is no secret."""
    made = checkout.make(tmp_path_factory.mktemp("study") / "checkout", cache)
    machine = Machine(made, made.write(f"{moments.NAME}.py", moments.TEXT))
    home, place = made.root / "home", made.root / "place"
    (home / ".ray").mkdir(parents=True)
    (home / ".ray" / "auth_token").write_text(SECRET)
    place.mkdir()
    # A socket's path must be short.
    folder = Path("/tmp", f"t{os.getpid()}")
    folder.mkdir()
    folder.chmod(0o1777)
    for path in (home, *made.root.parents):
        if path.stat().st_uid == os.getuid() and path != Path("/tmp"):
            path.chmod(path.stat().st_mode | 0o755)
    wanted = place / f"{moments.TRIALS[0]} 1.wanted"
    wanted.touch()
    before = os.umask(0)
    try:
        options = {"HOME": str(home), "RAY_TMPDIR": str(folder), "RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": SECRET}
        command = machine.start(**{moments.PLACE: str(place)}, **options)
    finally:
        os.umask(before)
    while not wanted.with_suffix(".worker").exists():
        assert command.running, command.output
        time.sleep(0.05)
    yield Running(machine, psutil.Process(command.process.pid), home, folder)
    wanted.unlink()
    code, output = command.wait(), command.output
    left = [path.name for path in folder.iterdir()]
    machine.lose_power()
    shutil.rmtree(folder)
    assert code == 0, output
    assert left == [], "a study leaves nothing outside of its results"


def listening(running: Running) -> dict[int, str]:
    """The address of every port at which a process of the study listens."""
    found = {}
    for process in running.processes:
        for connection in process.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN or not connection.raddr:
                found[connection.laddr.port] = connection.laddr.ip
    return found


def as_nobody(program: str, *arguments: str, said: str = "") -> str:
    """What a program of Python prints that becomes another user, whose number it is given first."""
    if os.geteuid() != 0:
        pytest.skip("only root may run something as another user")
    command = [sys.executable, "-c", program, str(NOBODY), *arguments]
    done = subprocess.run(command, input=said, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_listens_on_loopback_only(running: Running) -> None:
    ports = listening(running)
    assert len(ports) > 5, "Ray's are among them"
    assert {address.removeprefix("::ffff:") for address in ports.values()} <= {"127.0.0.1", "::1"}, ports


def test_its_own_token_is_its_users_alone(running: Running) -> None:
    token = running.rays / "token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert re.fullmatch("[0-9a-f]{64}", token.read_text())
    assert token.read_text() != SECRET
    (cluster,) = running.home.glob(".ray/auth_token")
    assert stat.S_IMODE(cluster.stat().st_mode) == 0o600
    assert stat.S_IMODE(cluster.parent.stat().st_mode) == 0o700


def test_no_token_stands_in_a_command_line(running: Running) -> None:
    """Which everybody may read."""
    secrets = {SECRET, (running.rays / "token").read_text()}
    lines = [" ".join(process.cmdline()) for process in running.processes]
    assert [line for line in lines for secret in secrets if secret in line] == []


def test_its_folders_are_its_users_alone(running: Running) -> None:
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in running.folder.iterdir()} == {0o700}
    sockets = [path for path in running.folder.rglob("*") if path.is_socket()]
    assert {path.name for path in sockets} >= {"raylet", "plasma_store"}


def test_nothing_of_it_lies_open_elsewhere(running: Running) -> None:
    """What its processes hold open in /tmp and /dev/shm lies in a folder that is closed to others, or is itself."""
    opened = set()
    for process in running.processes:
        for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
            try:
                name = str(descriptor.readlink())  # of a removed one it ends with "(deleted)", and nobody finds it
            except FileNotFoundError:  # closed meanwhile
                continue
            closed = [
                path for path in (Path(name), *Path(name).parents) if path.exists() and not path.stat().st_mode & 0o077
            ]
            if Path(name).exists() and name.startswith(("/tmp/", "/dev/shm/")) and not closed:
                opened.add(name)
    decoded = Path(running.machine.checkout.environment["XDG_CACHE_HOME"]).resolve()
    users = (str(running.machine.checkout.root), str(decoded), sys.prefix)
    assert {name for name in opened if not name.startswith(users)} == set()


def test_another_user_gets_in_nowhere(running: Running) -> None:
    """Reads the token and what lies beside it, asks every port with and without a token, and looks into processes."""
    files = [
        running.home / ".ray" / "auth_token",
        running.home / ".ray",
        running.rays,
        running.rays / "token",
        *(Path(f"/proc/{process.pid}/{name}") for process in running.processes for name in ("environ", "mem", "fd")),
        *(path for path in running.rays.rglob("*") if path.is_socket() or path.suffix in {".log", ".err"}),
    ]
    said = f"{' '.join(map(str, listening(running)))}\n{' '.join(map(str, files))}"
    program = (ROOT / "tests" / "attacks" / "break_in.py").read_text()
    assert as_nobody(program, said=said).splitlines() == ["tried"]


def test_with_the_token_the_same_calls_are_answered(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    """Or nothing would be said by their being refused."""
    token = (running.rays / "token").read_text()
    for port in listening(running):
        break_in.by_grpc(port, token, break_in.HARMLESS)
        break_in.by_http(port, token, break_in.LOOKS)
    said = capsys.readouterr().out
    assert [call for call in break_in.HARMLESS if call not in said] == []
    assert [page for page in break_in.LOOKS if f"{page} 200" not in said] == []


JOIN = """
import os, sys
from ray._raylet import GcsClient
from tests.attacks.break_in import give_up_rights
os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=sys.argv[3], HOME="/nonexistent")
give_up_rights(int(sys.argv[1]))
try:
    print("joined", GcsClient(address=sys.argv[2]).internal_kv_keys(b"", None))
except BaseException as error:
    print("refused:", error)
"""


def test_nobodys_ray_joins_it(running: Running) -> None:
    """Ray's own client, as the user of another account has it, with the token that everybody may have read."""
    (server,) = [process for process in running.processes if process.name() == "gcs_server"]
    (port,) = [each.laddr.port for each in server.net_connections("inet") if each.status == psutil.CONN_LISTEN]
    said = as_nobody(JOIN, f"127.0.0.1:{port}", SECRET)
    assert "joined" not in said
    assert "uthenticat" in said
