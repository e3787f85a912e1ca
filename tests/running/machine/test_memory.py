"""What the kernel says of the processes that it ended for want of memory, wherever it says so."""

import time
from pathlib import Path

import pytest

from platform.running.machine.memory import RECENT_SECONDS, MemoryKills
from platform.running.simulation import lose
from platform.running.workers.parcel import assigned
from tests.support.simulated_study import ONE_AT_A_TIME, Simulation

V2, V1, MACHINE = "sys/fs/cgroup/job/memory.events", "sys/fs/cgroup/memory/job/memory.oom_control", "proc/vmstat"
LINES = {
    V2: "low 0\nhigh 3\nmax 9\noom 2\noom_kill {}\noom_group_kill 0\n",
    V1: "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n",
    MACHINE: "nr_free_pages 12\noom_kill {}\nswap_ra 0\n",
}
GROUPS = {V2: "0::/job\n", V1: "4:memory:/job\n3:cpuset:/\n0::/\n", MACHINE: "0::/\n"}


def tell(root: Path, where: str, count: int) -> None:
    file = root / where
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(LINES[where].format(count), encoding="ascii")
    group = root / "proc/self/cgroup"
    group.parent.mkdir(parents=True, exist_ok=True)
    group.write_text(GROUPS[where], encoding="ascii")


@pytest.mark.parametrize("where", LINES)
def test_the_reason_of_a_loss_says_that_the_kernel_ended_a_process(tmp_path: Path, where: str) -> None:
    tell(tmp_path, MACHINE, 7)
    tell(tmp_path, where, 7)
    simulation = Simulation(tmp_path / "results", ONE_AT_A_TIME, slots=1)
    kills = simulation.shared.cluster.kills = MemoryKills(tmp_path)
    try:
        (running,) = simulation.run(results=1)
        assert kills.recent == "", "what was before counts for nothing"
        for losses in range(4):
            tell(tmp_path, where, 8 + losses)
            lose(simulation.scheduler, running, "The actor died unexpectedly")
            running = assigned(simulation.searcher.suggest("again"))
    finally:
        simulation.shared.cluster.kills = None
    end = simulation.ledger.ended(simulation.ledger.asks[0])
    assert end is not None
    assert f"the kernel ended a process for want of memory, says {tmp_path / where}; The actor died" in end.reason


def test_what_the_kernel_did_long_before_is_not_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(tmp_path, V2, 0)
    kills = MemoryKills(tmp_path)
    tell(tmp_path, V2, 1)
    kills.look()
    assert kills.recent
    later = time.monotonic() + RECENT_SECONDS + 1
    monkeypatch.setattr("platform.running.machine.memory.time.monotonic", lambda: later)
    assert kills.recent == ""


def test_where_the_kernel_says_nothing_nothing_is_said(tmp_path: Path) -> None:
    assert MemoryKills(tmp_path).recent == ""
    tell(tmp_path, V2, 1)
    (tmp_path / V2).write_bytes(b"\xff\n")
    assert MemoryKills(tmp_path).recent == ""


def test_a_container_sees_its_own_group_as_the_mounted_one(tmp_path: Path) -> None:
    tell(tmp_path, V2, 1)
    (tmp_path / "proc/self/cgroup").write_text("0::/somewhere/outside\n", encoding="ascii")
    (tmp_path / V2).rename(tmp_path / "sys/fs/cgroup/memory.events")
    kills = MemoryKills(tmp_path)
    (tmp_path / "sys/fs/cgroup/memory.events").write_text(LINES[V2].format(2), encoding="ascii")
    assert kills.recent.endswith("sys/fs/cgroup/memory.events")
