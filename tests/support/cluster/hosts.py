"""Hosts to run a cluster on, on one machine: each with its own network, processes, home, /tmp and sshd.

A host is a process in namespaces of its own, and so is the bridge between them, which nothing else can see: two
networks on one machine share nothing, not even an address to collide on. Nothing has to be cleaned up: the kernel takes
processes, mounts and interfaces down with their namespaces, and those with the process that asked for them.
"""

import ctypes
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

import psutil

from tests.support.patience import PATIENCE

HOME = Path("/mnt/home")
"""Root's home on every host; the environment that the tests run in is its `cluster/venv`."""
SHARED = Path("/mnt/shared")
"""The folder that all hosts see, as if by NFS."""
PACKAGES = {"ip": "iproute2", "sshd": "openssh-server", "ssh": "openssh-client", "rsync": "rsync"}
"""Debian's packages of the commands that hosts and `ray up` need."""
NAMESPACES = ["unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"]
# Without it, what a killed test session started would stay.
WITH_US = ["setpriv", "--pdeathsig", "KILL"]
ENVIRONMENT = {"HOME": str(HOME), "PATH": os.defpath + ":/usr/sbin:/sbin", "TERM": "dumb", "LANG": "C.UTF-8"}

SWITCH = """
ip link add switch type bridge
ip address add 10.0.0.254/24 dev switch
ip link set switch up
echo ready
exec sleep infinity
"""
# The interpreter and its environment may lie below the old /tmp: they are bound to /mnt before it is hidden.
# The route leads nowhere: it tells Ray which of the host's addresses is the one that others see.
BOOT = """
set -e
read -r _
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /mnt
cd /mnt
mkdir home shared files python
mount --bind "$FOLDER" files
mount --bind "$FOLDER/home" home
mount --bind "$SHARED_FOLDER" shared
mount --bind "$PREFIX" home/cluster/venv
mount -o remount,bind,ro home/cluster/venv
mount --bind "$BASE_PREFIX" python
mount --bind files/passwd /etc/passwd
mount --bind files/hosts /etc/hosts
for folder in /tmp /run /dev/shm; do mount -t tmpfs tmpfs $folder; done
chmod 1777 /tmp /dev/shm
mkdir /run/sshd
test -e "$BASE_PREFIX/bin" || { mkdir -p "$BASE_PREFIX" && mount --bind python "$BASE_PREFIX"; }
test -e "$PREFIX/bin" || { mkdir -p "$PREFIX" && mount --bind home/cluster/venv "$PREFIX"; }
hostname "$NAME"
ip link set lo up
ip address add "$ADDRESS/24" dev cable
ip link set cable up
ip route add default via 10.0.0.254
exec env --ignore-environment /usr/sbin/sshd -D -e -f files/sshd_config
"""
# Threads that wait give up their core, as the Makefile has it: hosts know nothing of this environment.
SSHD = """
HostKey /mnt/files/host_key
AuthorizedKeysFile /mnt/files/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
UseDNS no
PidFile none
Subsystem sftp internal-sftp
SetEnv OMP_WAIT_POLICY=PASSIVE
"""


def obstacle() -> str | None:
    """Why there can be no hosts here, if so; what can be installed for them is installed."""
    if os.geteuid() != 0:
        return "hosts made of namespaces need root"
    install(*(package for command, package in PACKAGES.items() if shutil.which(command) is None))
    if missing := [package for command, package in PACKAGES.items() if shutil.which(command) is None]:
        return f"hosts made of namespaces need the packages {', '.join(missing)}"
    attempt = "mount -t proc proc /proc && ip link add switch type bridge && ip link add type veth"
    done = subprocess.run([*NAMESPACES, "bash", "-c", attempt], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"no hosts can be made of namespaces here: {done.stderr.strip()}"


def install(*packages: str) -> None:
    """Have Debian's packages installed, where there is apt-get and one of them is missing."""
    if not packages or shutil.which("apt-get") is None:
        return
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    # Test processes that miss a package at the same moment wait for one another: apt-get would refuse all but one.
    with Path(tempfile.gettempdir(), "packages-of-tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
            subprocess.run(["apt-get", "--quiet", *command], env=quiet, capture_output=True, check=False)


@contextmanager
def network(folder: Path) -> Iterator["Network"]:
    """A network without hosts, whose files lie in a folder; at the end its hosts lose their power."""
    (folder / "shared").mkdir()
    key = folder / "key"
    _make_key(key)
    switch = subprocess.Popen([*WITH_US, "unshare", "--net", "bash", "-ec", SWITCH], stdout=subprocess.PIPE, text=True)
    made = Network(folder, key, switch.pid)
    try:
        assert switch.stdout is not None
        assert switch.stdout.readline() == "ready\n"
        yield made
    finally:
        for host in made.hosts:
            host.lose_power()
        switch.kill()
        switch.wait()


@dataclass(frozen=True)
class Network:
    """A bridge, and the hosts on it."""

    folder: Path
    key: Path
    """The private key that opens every host to root."""
    process: int
    """Holds the bridge's namespace."""
    hosts: list["Host"] = field(default_factory=list)

    @property
    def shared(self) -> Path:
        """The shared folder, as this process sees it."""
        return self.folder / "shared"

    def add(self, name: str) -> "Host":
        """A new host, which runs."""
        host = Host(self, name, f"10.0.0.{len(self.hosts) + 1}")
        self.hosts.append(host)
        return host.make().boot()

    def ip(self, *arguments: str, check: bool = True) -> None:
        """The command `ip`, at the bridge."""
        subprocess.run(["nsenter", f"--target={self.process}", "--net", "ip", *arguments], check=check)


@dataclass
class Host:
    """A machine."""

    network: Network
    name: str
    address: str
    power: "subprocess.Popen[str] | None" = None
    """Its first process is the only child of this one; None while it is off."""

    @property
    def folder(self) -> Path:
        """The host's disk, as this process sees it."""
        return self.network.folder / self.name

    @property
    def home(self) -> Path:
        """Root's home, as this process sees it."""
        return self.folder / "home"

    def make(self) -> Self:
        """The files that a host has before it boots for the first time."""
        (self.home / "cluster" / "venv").mkdir(parents=True)
        _make_key(self.folder / "host_key")
        shutil.copy(self.network.key.with_suffix(".pub"), self.folder / "authorized_keys")
        (self.folder / "sshd_config").write_text(SSHD)
        others = [line for line in Path("/etc/passwd").read_text().splitlines() if not line.startswith("root:")]
        (self.folder / "passwd").write_text("\n".join([f"root:x:0:0:root:{HOME}:/bin/bash", *others, ""]))
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost\n{self.address} {self.name}\n")
        return self

    def boot(self) -> Self:
        """Start with an empty /tmp, and wait for sshd."""
        settings = {
            "NAME": self.name,
            "ADDRESS": self.address,
            "FOLDER": str(self.folder),
            "SHARED_FOLDER": str(self.network.shared),
            "PREFIX": sys.prefix,
            "BASE_PREFIX": sys.base_prefix,
        }
        with (self.folder / "console.txt").open("ab") as console:
            self.power = subprocess.Popen(
                [*WITH_US, *NAMESPACES, "bash", "-c", BOOT],
                stdin=subprocess.PIPE,
                stdout=console,
                stderr=console,
                env=ENVIRONMENT | settings,
                text=True,
            )
        assert self.power.stdin is not None
        cable = ["type", "veth", "peer", "name", "cable", "netns", str(self._first().pid)]
        self.network.ip("link", "add", "name", self.name, *cable)
        self.network.ip("link", "set", "dev", self.name, "master", "switch", "up")
        self.power.stdin.write("the cable is in\n")
        self.power.stdin.close()
        self._first("sshd")
        self._wait_for_sshd()
        return self

    def lose_power(self) -> None:
        """End everything that runs here at once."""
        if self.power is not None:
            # With the first process of a namespace, the kernel kills all of it.
            self._first().kill()
            self.power.wait()
            self.power = None
            # It takes the cable along as well, but later: a host that boots meanwhile would find its name taken.
            self.network.ip("link", "delete", "dev", self.name, check=False)

    def cut(self) -> None:
        """Pull the cable."""
        self.network.ip("link", "set", "dev", self.name, "down")

    def mend(self) -> None:
        """Put the cable in again."""
        self.network.ip("link", "set", "dev", self.name, "up")

    def inside(self, *options: str) -> list[str]:
        """The beginning of a command line that runs in this host: `--net` and the like name the namespaces."""
        return ["nsenter", f"--target={self._first().pid}", *options]

    def start(self, command: str, folder: str = "", output: int | IO[str] = subprocess.PIPE) -> "subprocess.Popen[str]":
        """Let root's login shell run a command, in a folder of its home."""
        return subprocess.Popen(
            [*self.inside("--all"), "bash", "--login", "-c", f"cd {HOME / folder} || exit; {command}"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT,
            text=True,
        )

    def run(self, command: str, folder: str = "", timeout: float = 300) -> str:
        """What a command prints that must succeed."""
        process = self.start(command, folder)
        output, _ = process.communicate(timeout=timeout)
        assert process.returncode == 0, output
        return output

    def processes(self) -> list[str]:
        """The command lines of all that runs here but sshd."""
        here, found = _namespace(self._first()), []
        for process in psutil.process_iter():
            with suppress(OSError, psutil.NoSuchProcess):  # it has just ended
                if _namespace(process) == here and process.name() != "sshd":
                    found.append(" ".join(process.cmdline()))
        return found

    @contextmanager
    def here(self) -> Iterator[None]:
        """Let connections that this thread opens begin in the host."""
        ours, theirs = Path("/proc/thread-self/ns/net"), Path(f"/proc/{self._first().pid}/ns/net")
        with ours.open() as back, theirs.open() as there:
            _enter(there)
            try:
                yield
            finally:
                _enter(back)

    def _wait_for_sshd(self) -> None:
        """Until it takes connections, which it does a moment after it runs."""
        deadline = time.monotonic() + PATIENCE
        with self.here():
            while True:
                with suppress(ConnectionRefusedError), socket.create_connection((self.address, 22), PATIENCE):
                    return
                assert time.monotonic() < deadline, f"the sshd of {self.name} does not listen"
                time.sleep(0.02)

    def _first(self, name: str | None = None) -> psutil.Process:
        """The host's first process, once there is one, of that name if any."""
        assert self.power is not None, f"{self.name} is off"
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.power.poll() is None:
            children = psutil.Process(self.power.pid).children()
            if children and name in (None, children[0].name()):
                return children[0]
            time.sleep(0.02)
        raise RuntimeError(f"{self.name} does not boot: {(self.folder / 'console.txt').read_text()}")


def _namespace(process: psutil.Process) -> Path:
    return Path(f"/proc/{process.pid}/ns/pid").readlink()


def _make_key(file: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)


def _enter(namespace: IO[str]) -> None:
    # Python 3.12 has os.setns.
    if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")
