"""What a cluster has and what its autoscaler may still start, from what Ray and `ray up` say of it."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from platform.design.budget import Resources
from platform.records.provenance import ROOT
from platform.records.storage.storage import Folder
from platform.running.cluster import HEAD, Cluster, RayFault, awaited
from platform.running.interruption import Interruption
from platform.running.machine.session import local
from platform.running.placement import refusal
from tests.support.patience import PATIENCE

HEAD_NODE: Resources = {"CPU": 0.0, "memory": 1e9, HEAD: 1.0}
WORKER: Resources = {"CPU": 8.0, "GPU": 1.0, "memory": 3e10}
LARGE: Resources = {"CPU": 32.0, "GPU": 4.0}
AWS: dict[str, Any] = {
    "available_node_types": {
        "head": {"resources": {"CPU": 0}, "max_workers": 0},
        "worker": {"resources": {"CPU": 8, "GPU": 1}, "min_workers": 0, "max_workers": 3},
        "large": {"resources": {"CPU": 32, "GPU": 4}, "max_workers": 1},
    },
    "head_node_type": "head",
    "max_workers": 4,
}
LOCAL: dict[str, Any] = {
    "available_node_types": {"local.cluster.node": {"node_config": {}, "resources": {}, "max_workers": 2}},
    "head_node_type": "local.cluster.node",
    "max_workers": 2,
}


def counted(nodes: tuple[Resources, ...]) -> tuple[int, int]:
    """How many workers, and how many large ones."""
    return sum(node["GPU"] == 1 for node in nodes), sum(node["GPU"] == 4 for node in nodes)


def test_of_an_empty_cluster_all_workers_may_be_started() -> None:
    to_come, unknown = awaited([HEAD_NODE], AWS)
    assert counted(to_come) == (3, 1)
    assert unknown == 0


def test_living_workers_are_taken_off_their_types() -> None:
    assert counted(awaited([HEAD_NODE, WORKER, LARGE], AWS)[0]) == (2, 0)
    assert counted(awaited([HEAD_NODE, WORKER, WORKER, WORKER, LARGE], AWS)[0]) == (0, 0)


def test_the_whole_cluster_has_a_limit_of_its_own() -> None:
    assert sum(counted(awaited([HEAD_NODE], AWS | {"max_workers": 2})[0])) == 2
    assert sum(counted(awaited([HEAD_NODE, WORKER], AWS | {"max_workers": 2})[0])) == 1


def test_a_labs_machines_are_unknown_until_they_join() -> None:
    head = {"CPU": 4.0, HEAD: 1.0}
    assert awaited([head], LOCAL) == ((), 2)
    assert awaited([head, WORKER], LOCAL) == ((), 1)
    assert awaited([head, WORKER, LARGE], LOCAL) == ((), 0)


def test_a_cluster_that_nobody_starts_machines_for_has_what_it_has() -> None:
    assert awaited([HEAD_NODE, WORKER], {}) == ((), 0)


def test_trials_have_room_on_nodes_that_are_to_come() -> None:
    cluster = Cluster(lambda: {"head": HEAD_NODE}, AWS)
    wanted = {"CPU": 1.0, "GPU": 0.5}
    # Three workers with one GPU, a large one with four.
    assert cluster.has_room([wanted] * 13, wanted)
    assert not cluster.has_room([wanted] * 14, wanted)


def test_an_excluded_node_takes_no_trials() -> None:
    cluster = Cluster(lambda: {"one": {"CPU": 1.0}, "two": {"CPU": 1.0}}, {})
    wanted = {"CPU": 1.0}
    assert cluster.has_room([wanted], wanted)
    cluster.exclude("two", "no data")
    assert not cluster.has_room([wanted], wanted)
    assert cluster.has_room([], wanted)
    assert cluster.excluded == {"two": "no data"}


def test_an_autoscaler_is_not_asked_for_ever_for_machines_that_are_of_no_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.running.cluster.REFRESH_SECONDS", 0.01)
    nodes: dict[str, Resources] = {"head": HEAD_NODE}
    cluster, wanted = Cluster(lambda: nodes, AWS), {"GPU": 1.0}
    for name in ("one", "two", "three"):
        assert cluster.has_room([], wanted)
        nodes[name] = WORKER
        cluster.exclude(name, "no data")
    assert not cluster.has_room([], wanted)
    del nodes["one"], nodes["two"]
    nodes["four"] = WORKER
    time.sleep(0.02)
    assert cluster.has_room([wanted], wanted), "one that is of use shows that others may be"


def test_machines_that_train_show_that_others_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.running.cluster.REFRESH_SECONDS", 0.0)
    nodes: dict[str, Resources] = {"head": HEAD_NODE}
    cluster, wanted = Cluster(lambda: nodes, AWS), {"GPU": 1.0}
    for name in ("one", "two", "three"):
        nodes[name] = WORKER
        cluster.exclude(name, "no data")
        cluster.note_use()
    assert cluster.has_room([], wanted)
    assert cluster.may_hold(wanted)


def test_a_machine_that_has_left_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.running.cluster.REFRESH_SECONDS", 0.0)
    head: Resources = {"CPU": 8.0, HEAD: 1.0}
    nodes: dict[str, Resources] = {"head": head, "without data": WORKER, "rebooting": WORKER}
    cluster, wanted = Cluster(lambda: nodes, {}), {"GPU": 1.0}
    assert cluster.may_hold(wanted)
    cluster.exclude("without data", "no data")
    del nodes["rebooting"]
    assert not cluster.has_room([], wanted)
    assert cluster.may_hold(wanted)
    assert not cluster.may_hold({"GPU": 2.0})
    nodes["rebooting, another time"] = WORKER
    cluster.exclude("rebooting, another time", "no data")
    assert cluster.may_hold(wanted), "the first time it left before anybody knew"
    cluster.exclude("yet another", "no data")
    assert not cluster.may_hold(wanted), "there have been too many of no use"


def test_for_a_machine_that_never_comes_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.running.cluster.JOIN_SECONDS", 0.2)
    monkeypatch.setattr("platform.running.cluster.REFRESH_SECONDS", 0.01)
    nodes: dict[str, Resources] = {"head": {"CPU": 4.0, HEAD: 1.0}, "one": WORKER}
    cluster, said, large = Cluster(lambda: nodes, LOCAL), list[str](), {"CPU": 32.0}
    assert refusal("large", large, cluster.offer()) is None, "the machine that is missing may hold it"
    assert cluster.await_expected(said.append, lambda: False) == 1
    assert said == ["waiting for 1 machine that the cluster expects"]
    assert "at most 8 CPUs" in (refusal("large", large, cluster.offer()) or "")
    assert cluster.has_room([], {"CPU": 8.0})
    nodes["late"] = LARGE
    time.sleep(0.02)
    assert refusal("large", large, cluster.offer()) is None, "it came after all"


def test_waiting_ends_when_all_have_joined_or_the_user_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.running.cluster.REFRESH_SECONDS", 0.01)
    joining: list[dict[str, Resources]] = [{"head": {"CPU": 4.0, HEAD: 1.0}, "one": WORKER}]
    joining.append({**joining[0], "two": LARGE})
    cluster = Cluster(lambda: joining.pop(0) if len(joining) > 1 else joining[0], LOCAL)
    said: list[str] = []
    assert cluster.await_expected(said.append, lambda: False) == 0
    assert len(said) == 1
    assert cluster.has_room([], {"CPU": 32.0})
    Cluster(lambda: {"head": {"CPU": 4.0, HEAD: 1.0}}, LOCAL).await_expected(said.append, lambda: True)
    assert len(said) == 1


PLACE = "<the folder>"
RAY_TMPDIR = "have RAY_TMPDIR name a folder with a short path"


@pytest.mark.parametrize(
    ("error", "helps"),
    [
        (OSError(f"AF_UNIX path length cannot exceed 107 bytes: {PLACE}/ray/plasma_store"), RAY_TMPDIR),
        (OSError(f"Permission denied: {PLACE}/ray/session"), RAY_TMPDIR),
        (UnicodeEncodeError("ascii", f"{PLACE}/ray", 9, 10, "ordinal not in range"), RAY_TMPDIR),
        (Exception("The current node timed out during startup."), "Ray does not start: The current node timed out"),
    ],
    ids=["long", "another user's", "umlaut", "busy"],
)
def test_where_ray_does_not_start_it_is_said_what_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, helps: str
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    place = str(tmp_path / "Müll")
    error = type(error)(*(part.replace(PLACE, place) if isinstance(part, str) else part for part in error.args))
    monkeypatch.setenv("TMPDIR", place)
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setattr("ray.init", refuse)
    with pytest.raises(RayFault, match=helps), local(ROOT, Interruption(Folder(tmp_path), "stop"), lambda _: None):
        pass
    assert list((tmp_path / "Müll").iterdir()) == [], "nothing was said, and nothing stays"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Exception(), "Ray does not start: Exception"),
        (SystemExit(1), "Ray does not start: 1"),
        (SystemExit(), "Ray does not start: SystemExit"),
        (GeneratorExit(), "Ray does not start: GeneratorExit"),
        (BaseException("a panic"), "Ray does not start: a panic"),
        (MemoryError(), "Ray does not start: MemoryError"),
    ],
    ids=["bare", "exit", "bare exit", "generator", "panic", "memory"],
)
def test_whatever_ray_raises_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, said: str
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("ray.init", refuse)
    with pytest.raises(RayFault) as fault, local(ROOT, Interruption(Folder(tmp_path), "stop"), lambda _: None):
        pass
    assert str(fault.value).startswith(said)


def test_a_ray_that_never_starts_ends_the_process(tmp_path: Path) -> None:
    hangs = (
        "import sys, time, ray\n"
        "from pathlib import Path\n"
        "from platform.records.storage.storage import Folder\n"
        "from platform.running.machine import session\n"
        "from platform.running.interruption import Interruption\n"
        "session.START_SECONDS = 0.5\n"
        "ray.init = lambda *_, **__: time.sleep(1000)\n"
        "with session.local(Path.cwd(), Interruption(Folder(Path(sys.argv[1])), 'stop'), print): pass\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", hangs, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE
    )
    assert ended.returncode == 3
    assert ended.stdout == "error: Ray does not start in 0 seconds; the same command goes on from here\n"
