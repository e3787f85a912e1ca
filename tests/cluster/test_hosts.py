"""Hosts are apart from one another, and from this machine, but for what they are meant to share."""

import subprocess
from pathlib import Path

import pytest

from tests.support.cluster import hosts
from tests.support.cluster.hosts import Host, Network
from tests.support.cluster.ray_cluster import wait_until
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.slow


def reaches(one: Host, other: Host) -> bool:
    """Whether a connection can be made to the other's sshd."""
    connect = f"timeout 2 bash -c ': < /dev/tcp/{other.address}/22'"
    return one.start(connect).wait(timeout=PATIENCE) == 0


def test_apart(network: Network) -> None:
    one, other = network.add("one"), network.add("other")
    assert one.run("hostname; echo $HOME").split() == ["one", str(hosts.HOME)]
    one.run("touch /tmp/mine /dev/shm/mine ~/mine")
    assert other.run("ls /tmp/mine /dev/shm/mine ~/mine; true").count("No such file") == 3
    one.run(f"touch {hosts.SHARED}/ours")
    other.run(f"ls {hosts.SHARED}/ours")
    assert (network.shared / "ours").exists()


def test_own_processes_and_power(network: Network) -> None:
    one, other = network.add("one"), network.add("other")
    one.run("touch ~/kept /tmp/lost; sleep 1000 > /dev/null 2>&1 &")
    # Between its fork and its exec, the command is the shell's twin.
    wait_until(lambda: one.processes() == ["sleep 1000"], "the host has other processes than its own")
    assert other.processes() == []
    one.lose_power()
    one.boot()
    assert one.processes() == []
    assert "kept" in one.run("ls ~")
    assert "lost" not in one.run("ls /tmp")
    assert reaches(other, one)


def test_cable(network: Network) -> None:
    one, other = network.add("one"), network.add("other")
    assert reaches(one, other)
    other.cut()
    assert not reaches(one, other)
    other.mend()
    wait_until(lambda: reaches(one, other), "the cable is in, and nothing comes through")


def test_two_networks_at_once(network: Network, tmp_path: Path) -> None:
    mine = network.add("host")
    (tmp_path / "second").mkdir()
    with hosts.network(tmp_path / "second") as second:
        other = second.add("host")
        assert mine.address == other.address
        (other.home / "here").touch()
        assert "here" in other.run("ls ~")
        assert "here" not in mine.run("ls ~")


def test_connections_from_here(network: Network) -> None:
    """A server that listens on a host's loopback alone is found from there, by this process."""
    host = network.add("host")
    with host.here():
        listening = subprocess.run(["ip", "address", "show", "cable"], capture_output=True, text=True, check=True)
    assert host.address in listening.stdout
    assert subprocess.run(["ip", "address", "show", "cable"], capture_output=True, check=False).returncode != 0


def test_nothing_is_left(tmp_path: Path) -> None:
    with hosts.network(tmp_path) as network:
        host = network.add("host")
        host.run("sleep 1000 > /dev/null 2>&1 &")
        assert host.power is not None
        first = host.power.pid
    assert not Path(f"/proc/{first}").exists()
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
