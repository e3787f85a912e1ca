"""Trials and the nodes that come, leave or are of no use."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pytest
from ray.tune.search import Searcher

from platform.design.budget import Resources
from platform.methods import FDA
from platform.records.record import End
from platform.running.cluster import HEAD, Cluster, RayFault
from platform.running.placement import Offer, TooLarge
from platform.running.simulation import tell
from platform.running.tuner import check_nodes
from platform.running.workers.parcel import assigned
from platform.study import Arm
from platform.training.assignment import Assignment, Node, UnfitNode
from tests.support.simulated_study import STUDY, Simulation, report, states

ON_GPUS = dataclasses.replace(
    STUDY,
    arms={"fixed": Arm(FDA)},
    reference="fixed",
    search=None,
    budget=dataclasses.replace(STUDY.budget, gpus=1.0),
)


CPU_HEAD: Resources = {"CPU": 8.0, HEAD: 1.0}


GPU_NODE: Resources = {"CPU": 8.0, "GPU": 1.0}


def lab(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Simulation, dict[str, Resources], list[str]]:
    """A study that asks for GPUs, the nodes of its cluster, and what the user is told."""
    monkeypatch.setattr("platform.running.cluster.REFRESH_SECONDS", 0.0)
    nodes = {"head": CPU_HEAD, "one": GPU_NODE, "other": GPU_NODE}
    simulation, said = Simulation(folder, ON_GPUS, cluster=Cluster(lambda: nodes, {})), list[str]()
    simulation.interruption.say = said.append
    return simulation, nodes, said


def suggested(simulation: Simulation) -> Assignment:
    assignment: Assignment = assigned(simulation.searcher.suggest("next"))
    return assignment


def test_when_no_gpu_node_is_of_use_trials_end_though_a_cpu_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation, _, said = lab(tmp_path, monkeypatch)
    for node in ("one", "other"):
        tell(simulation.scheduler, suggested(simulation), UnfitNode(Node(node, f"{node}'s address"), "it has no data"))
    assert simulation.searcher.suggest("none") == Searcher.FINISHED
    assert states(simulation.record("fixed", "confirm")) == ["failed", "failed"]
    assert "it has no data" in (simulation.record("fixed", "confirm")[0].end or End("complete", None, "", 0)).reason
    assert len(said) == 2


def test_trials_wait_for_a_gpu_node_that_left_without_being_excluded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation, nodes, said = lab(tmp_path, monkeypatch)
    tell(simulation.scheduler, suggested(simulation), UnfitNode(Node("one", "its address"), "it has no data"))
    del nodes["other"]
    assert simulation.searcher.suggest("none") is None
    assert simulation.searcher.suggest("none") is None
    assert states(simulation.record("fixed", "confirm")) == []
    assert len(said) == 2
    assert said[1].startswith("waiting for a machine: a trial of 'fixed' needs 1 CPU, 1 GPU on one node")
    nodes["other, again"] = GPU_NODE
    assert suggested(simulation).resources == {"CPU": 1.0, "GPU": 1.0}


def test_a_gpu_that_cannot_be_used_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulation, _, said = lab(tmp_path, monkeypatch)
    running = suggested(simulation)
    for step, node, device in ((2, "10.0.0.1", "cpu"), (4, "10.0.0.1", "cpu"), (6, "10.0.0.2", "NVIDIA L4")):
        made = dataclasses.replace(report(running.ask.trial, step), node=node, device=device)
        tell(simulation.scheduler, running, made)
    (line,) = said
    assert line.startswith("10.0.0.1 has a GPU that PyTorch cannot use")


def test_a_study_that_asks_for_gpus_does_not_begin_on_cpus_while_machines_are_missing() -> None:
    said: list[str] = []
    with pytest.raises(RayFault, match="asks for GPUs, and no node has one; 2 machines that the cluster expects"):
        check_nodes(ON_GPUS, Offer((CPU_HEAD,)), 2, said.append)
    with pytest.raises(RayFault, match=r"'source only' needs 1 CPU on one node, and no node has that: .*; 1 machine"):
        check_nodes(STUDY, Offer(({HEAD: 1.0},)), 1, said.append)
    with pytest.raises(TooLarge):
        check_nodes(STUDY, Offer(({HEAD: 1.0},)), 0, said.append)
    assert said == []
    check_nodes(ON_GPUS, Offer((CPU_HEAD,)), 0, said.append)
    assert said == ["no GPU is there: everything trains on CPUs"]
    check_nodes(ON_GPUS, Offer((CPU_HEAD, GPU_NODE)), 1, said.append)
    check_nodes(STUDY, Offer((CPU_HEAD,)), 1, said.append)
    assert len(said) == 1


def test_a_node_that_joins_while_the_searcher_looks_does_not_end_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever question to the cluster is the first that sees it."""
    for asked_before in range(8):
        simulation, nodes, _ = lab(tmp_path / str(asked_before), monkeypatch)
        del nodes["other"]
        suggested(simulation)
        questions = itertools.count()

        def growing(
            questions: Any = questions, nodes: dict[str, Resources] = nodes, late: int = asked_before
        ) -> dict[str, Resources]:
            return nodes | ({"late": GPU_NODE} if next(questions) >= late else {})

        monkeypatch.setattr(simulation.shared.cluster, "_nodes", growing)
        answers = [simulation.searcher.suggest("next") for _ in range(asked_before + 1)]
        assert Searcher.FINISHED not in answers
