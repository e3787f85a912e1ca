"""The searcher and the scheduler as Ray Tune calls them, on made-up curves: no cluster, a whole study in a moment."""

import dataclasses
import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest
from ray.tune.search import Searcher

from platform.design.budget import Resources
from platform.methods import FDA, Adversarial, SourceOnly, TargetSupervised
from platform.records.ledger import Ledger, StoreFault
from platform.records.record import End, Record, Report
from platform.records.storage.storage import Folder
from platform.records.store import Store
from platform.records.trial import Trial
from platform.running import simulation
from platform.running.cluster import HEAD, Cluster, RayFault
from platform.running.interruption import Interruption
from platform.running.placement import Offer, TooLarge
from platform.running.scheduler import WORKER_LOSSES, StudyScheduler
from platform.running.searcher import StudySearcher
from platform.running.simulation import lose, tell
from platform.running.slots import Slots
from platform.running.tuner import check_nodes
from platform.search.decisions import Search
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, LogUniform, OneOf, Study
from platform.training.assignment import Assignment, Failure, Node, Result, Stopped, UnfitNode

RATE = LogUniform(1e-3, 1e-1)
STUDY = Study(
    shift=town(size=(64, 64)),
    arms={
        "source only": Arm(SourceOnly, learning_rate=RATE),
        "adversarial": Arm(Adversarial, lambda_adv=LogUniform(1e-4, 1e-1)),
        "bands": Arm(FDA, beta=LogUniform(0.016, 0.1)),
        "fixed": Arm(FDA, beta=0.05),
        "target supervised": Arm(TargetSupervised, learning_rate=RATE),
    },
    reference="source only",
    search=ASHA(trials=6, grace=0.25, reduction=2, smoothing=2),
    budget=Budget(steps=8, evaluations=4),
    seeds=2,
)
IDENTITY = STUDY.shift.identity()


def report(trial: Trial, step: int) -> Report:
    """Of a curve that rises with the steps, to a height that the trial's id decides."""
    value = step / 16 + int(trial.id[:4], 16) / 2**18
    return Report(step, 0.0, {"source/miou": value, "oracle/miou": 1 - value, "target/effective_classes": 9.0}, {})


class Simulation:
    """A driver without Ray, whose workers make their curves up."""

    def __init__(
        self,
        folder: Path,
        study: Study = STUDY,
        slots: int = 2,
        name: str = "simulated",
        cluster: Cluster = simulation.MACHINE,
    ) -> None:
        self.ledger = Ledger(Store(folder), name, list(study.arms))
        self.study = study
        self.interruption = Interruption(Folder(folder), "stop")
        self.shared = Slots(self.ledger, cluster)
        search = Search(study, self.ledger, IDENTITY)
        self.searcher = StudySearcher(search, self.shared, self.interruption)
        self.scheduler = StudyScheduler(search, self.shared, self.interruption)
        self.slots = slots
        self.reports = 0
        self.failure = Failure("diverged", "the segmentation loss is nan at step 1", retry=False)
        self.ledger.reopen()

    def run(self, results: int | None = None, fails: str = "") -> list[Assignment]:
        """Run to the end, or to a number of results, after which the driver is gone; the trials still running."""
        left = simulation.run(
            self.searcher, self.scheduler, lambda given: self.worker(given, fails), self.slots, results
        )
        self.ledger.close()
        return left

    def worker(self, assignment: Assignment, fails: str) -> simulation.Worker:
        steps = iter([step for step in assignment.ask.trial.evaluated_steps if step > assignment.reported])

        def step() -> Result:
            self.reports += 1
            return self.failure if assignment.ask.arm == fails else report(assignment.ask.trial, next(steps))

        return step

    def finished(self) -> bool:
        return Search(self.study, self.ledger, IDENTITY).is_finished()

    def record(self, arm: str, phase: Any) -> list[Record]:
        return [self.ledger.records[ask.trial.id] for ask in self.ledger.asked(arm, phase)]


def states(records: list[Record]) -> list[str]:
    return [record.end.state for record in records if record.end is not None]


def test_every_arm_gets_its_search_and_its_confirm_trials(tmp_path: Path) -> None:
    simulation = Simulation(tmp_path)
    simulation.run()
    assert simulation.finished()
    for arm in STUDY.arms:
        searched, confirmed = simulation.record(arm, "search"), simulation.record(arm, "confirm")
        assert len(searched) == (0 if arm == "fixed" else 6)
        assert states(confirmed) == ["complete", "complete"]
        assert {record.trial.seed for record in searched} <= {0}
        assert [record.trial.seed for record in confirmed] == [1, 2]


def test_confirm_trials_have_the_values_of_the_best_complete_search_trial(tmp_path: Path) -> None:
    simulation = Simulation(tmp_path)
    simulation.run()
    for arm in ("source only", "adversarial", "target supervised"):
        selector = STUDY.row(arm).selector
        complete = [record for record in simulation.record(arm, "search") if states([record]) == ["complete"]]
        best = max(complete, key=lambda record: record.reports[-1].metrics[selector])
        for confirmed in simulation.record(arm, "confirm"):
            assert confirmed.trial.hyperparameters == best.trial.hyperparameters
            assert confirmed.trial.recipe == best.trial.recipe


def test_trials_stop_at_rungs_below_the_cut_of_their_own_arm(tmp_path: Path) -> None:
    simulation = Simulation(tmp_path)
    simulation.run()
    stopped = 0
    for arm in STUDY.arms:
        records = simulation.record(arm, "search")
        for record in records:
            assert record.end is not None
            if record.end.state == "stopped":
                stopped += 1
                assert record.end.step in STUDY.rungs
                selector = STUDY.row(arm).selector
                value = sum(last.metrics[selector] for last in record.reports[-2:]) / 2
                assert (
                    f"rung {record.end.step}: mean of the last 2 {selector} {value:.4f} is below the cut"
                    in record.end.reason
                )
    assert stopped >= 4


def test_confirm_trials_are_never_stopped_early(tmp_path: Path) -> None:
    simulation = Simulation(tmp_path)
    simulation.run()
    assert {record.end.step for arm in STUDY.arms for record in simulation.record(arm, "confirm") if record.end} == {8}


def test_an_arm_that_waits_holds_up_no_other(tmp_path: Path) -> None:
    """With more slots than an arm has trials, the next arms begin before the first one's search has ended."""
    left = Simulation(tmp_path, slots=10).run(results=1)
    assert {assignment.ask.arm for assignment in left} >= {"source only", "adversarial"}


def test_a_failed_arm_has_no_confirm_trials_and_the_others_go_on(tmp_path: Path) -> None:
    simulation = Simulation(tmp_path)
    simulation.run(fails="adversarial")
    assert set(states(simulation.record("adversarial", "search"))) == {"failed"}
    assert simulation.record("adversarial", "confirm") == []
    assert len(simulation.record("source only", "confirm")) == 2
    assert simulation.finished()


def test_a_failure_from_outside_is_tried_again_and_one_of_its_own_is_not(tmp_path: Path) -> None:
    first = Simulation(tmp_path)
    first.failure = Failure("out of memory", "too small", retry=True)
    first.run(fails="adversarial")
    assert first.record("adversarial", "confirm") == []
    again = Simulation(tmp_path)
    again.run(fails="source only")
    assert len(again.record("adversarial", "confirm")) == 2
    assert states(again.record("source only", "search")) == states(first.record("source only", "search"))


def test_a_trial_that_took_its_last_step_has_ended_though_its_driver_died(tmp_path: Path) -> None:
    first = Simulation(tmp_path, slots=1)
    first.run(results=4)
    complete = first.ledger.asks[0]
    record = tmp_path / "trials" / complete.trial.id / "record.jsonl"
    lines = record.read_text().splitlines(keepends=True)
    assert '"end"' in lines[-1]
    record.write_text("".join(lines[:-1]))
    assert Simulation(tmp_path).ledger.ended(complete) == End("complete", None, "", 8)


def test_a_trial_whose_folder_was_deleted_is_trained_again(tmp_path: Path) -> None:
    Simulation(tmp_path).run()
    lost = next(iter((tmp_path / "trials").iterdir()))
    shutil.rmtree(lost)
    again = Simulation(tmp_path)
    again.run()
    assert again.finished()
    assert (lost / "record.jsonl").exists()


def test_what_one_study_stopped_another_may_finish(tmp_path: Path) -> None:
    Simulation(tmp_path).run()
    patient = dataclasses.replace(STUDY, search=ASHA(trials=6, grace=1.0, smoothing=2))
    other = Simulation(tmp_path, patient, name="patient")
    other.run()
    assert set(states(other.record("source only", "search"))) == {"complete"}
    assert "stopped" in states(Simulation(tmp_path).record("source only", "search"))


def test_arms_that_mean_the_same_trial_train_it_once_and_both_get_it(tmp_path: Path) -> None:
    twins = {"one": Arm(FDA, beta=0.05), "other": Arm(FDA, beta=0.0501)}
    study = Study(shift=STUDY.shift, arms=twins, reference="one", budget=STUDY.budget, seeds=2)
    simulation = Simulation(tmp_path, study, slots=4)
    simulation.run()
    assert simulation.reports == 2 * 4
    assert states(simulation.record("other", "confirm")) == ["complete", "complete"]
    assert simulation.finished()


@pytest.mark.parametrize("reports", [1, 2, 5, 9, 20, 40, 60])
def test_a_study_that_died_goes_on_from_its_records(tmp_path: Path, reports: int) -> None:
    Simulation(tmp_path).run(results=reports)
    resumed = Simulation(tmp_path)
    resumed.run()
    assert resumed.finished()
    asked = [(ask.arm, ask.trial.id) for ask in resumed.ledger.asks]
    assert len(asked) == len(set(asked))
    for arm in STUDY.arms:
        assert len(resumed.record(arm, "confirm")) == 2
        assert len(resumed.record(arm, "search")) == (0 if arm == "fixed" else 6)


def test_more_trials_seeds_and_arms_extend_a_finished_study(tmp_path: Path) -> None:
    Simulation(tmp_path).run()
    before = len(Ledger(Store(tmp_path), "simulated", list(STUDY.arms)).asks)
    more = Study(
        shift=STUDY.shift,
        arms={**STUDY.arms, "new": Arm(FDA, beta=0.08)},
        reference="source only",
        search=ASHA(trials=6, grace=0.25, reduction=2, smoothing=2),
        budget=STUDY.budget,
        seeds=3,
    )
    simulation = Simulation(tmp_path, more)
    simulation.run()
    assert len(simulation.ledger.asks) == before + len(STUDY.arms) + 3


def test_a_fault_of_the_store_ends_the_study_without_an_exception(tmp_path: Path) -> None:
    simulation = Simulation(tmp_path)
    simulation.run(results=3)
    trials = tmp_path / "trials"
    trials.rename(tmp_path / "gone")
    trials.write_text("a file where the folder belongs")
    assert simulation.run() == []
    assert isinstance(simulation.ledger.fault, StoreFault)


def test_an_error_in_a_decision_ends_the_study_instead_of_hanging_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation = Simulation(tmp_path)

    def broken(*_: Any) -> None:
        raise KeyError("a mistake of ours")

    monkeypatch.setattr("platform.search.decisions.propose", broken)
    assert simulation.searcher.suggest("") == Searcher.FINISHED
    assert isinstance(simulation.ledger.fault, KeyError)


def test_names_tell_arm_method_phase_and_number(tmp_path: Path) -> None:
    simulation = Simulation(tmp_path)
    names = [simulation.searcher.suggest("")["assignment"].name for _ in range(7)]
    assert names[0].startswith("source_only_search_0-")
    assert names[6].startswith("adversarial_search_0-")
    assert all(len(set(pair)) == 2 for pair in itertools.pairwise(names))


def lost(simulation: Simulation, assignment: Assignment) -> None:
    lose(simulation.scheduler, assignment, "the actor died")


def test_a_trial_that_loses_its_worker_is_handed_out_again_a_bounded_number_of_times(tmp_path: Path) -> None:
    simulation = Simulation(tmp_path, slots=1)
    (running,) = simulation.run(results=1)
    for losses in range(1, WORKER_LOSSES + 1):
        lost(simulation, running)
        running = simulation.searcher.suggest("again")["assignment"]
        assert running.ask == simulation.ledger.asks[0]
        assert running.reported == 2, "from its last report"
        assert simulation.ledger.records[running.ask.trial.id].losses == losses
    lost(simulation, running)
    end = simulation.ledger.ended(running.ask)
    assert end is not None
    assert (end.state, end.cause, end.step, end.retry) == ("failed", "worker lost", 2, True)
    assert end.reason == "worker lost 4 times since step 2, the last time with: the actor died"
    assert simulation.searcher.suggest("next")["assignment"].ask != running.ask
    again = Simulation(tmp_path)
    assert again.ledger.ended(running.ask) is None, "the next run tries it again"


def test_of_what_ended_a_worker_the_last_words_are_kept(tmp_path: Path) -> None:
    """Ray's traceback ends with what matters."""
    traceback = "ray::step()\n" + '  File "worker.py", line 1\n' * 99 + "OSError: disk"
    simulation = Simulation(tmp_path, slots=1)
    (running,) = simulation.run(results=1)
    for _ in range(WORKER_LOSSES + 1):
        lose(simulation.scheduler, running, traceback)
        running = simulation.searcher.suggest("again")["assignment"]
    end = simulation.ledger.ended(simulation.ledger.asks[0])
    assert end is not None
    assert "the last time with: ..." in end.reason
    assert end.reason.endswith("line 1 OSError: disk")


def test_the_last_trial_is_handed_out_again_though_nothing_else_is_left(tmp_path: Path) -> None:
    """Ray Tune asks no more once it was told that the study has come to its end."""
    study = dataclasses.replace(STUDY, arms={"fixed": Arm(FDA)}, reference="fixed", search=None)
    driver = Simulation(tmp_path, study)
    first, last = (driver.searcher.suggest("any")["assignment"] for _ in range(2))
    for step in first.ask.trial.evaluated_steps:
        tell(driver.scheduler, first, report(first.ask.trial, step))
    assert driver.searcher.suggest("none") is None, "the last one still runs"
    lost(driver, last)
    again = driver.searcher.suggest("again")["assignment"]
    assert again.ask == last.ask
    for step in again.ask.trial.evaluated_steps:
        tell(driver.scheduler, again, report(again.ask.trial, step))
    assert driver.searcher.suggest("none") == Searcher.FINISHED


def test_a_trial_that_gets_on_between_losses_is_never_given_up(tmp_path: Path) -> None:
    """Spot machines come and go."""
    simulation = Simulation(tmp_path, slots=1)
    losses = 0
    running = simulation.searcher.suggest("first")["assignment"]
    *steps, last = running.ask.trial.evaluated_steps
    for step in steps:
        tell(simulation.scheduler, running, report(running.ask.trial, step))
        for _ in range(2):
            lost(simulation, running)
            losses += 1
            again = simulation.searcher.suggest("again")["assignment"]
            assert (again.ask, again.reported) == (running.ask, step)
            running = again
    assert losses > WORKER_LOSSES
    tell(simulation.scheduler, running, report(running.ask.trial, last))
    end = simulation.ledger.ended(running.ask)
    assert end is not None
    assert end.state == "complete"


def test_a_trial_whose_worker_stopped_without_a_stop_goes_on(tmp_path: Path) -> None:
    """A network file system may show a sign for a while that is gone."""
    simulation = Simulation(tmp_path, slots=1)
    stopped = simulation.searcher.suggest("first")["assignment"]
    tell(simulation.scheduler, stopped, Stopped())
    again = simulation.searcher.suggest("again")["assignment"]
    assert again.ask == stopped.ask
    tell(simulation.scheduler, stopped, Stopped())
    assert again.ask.trial.id in simulation.shared.running, "the one that was taken for dead says nothing of this one"


def test_a_trial_given_to_a_broken_worker_is_not_counted_as_lost(tmp_path: Path) -> None:
    simulation = Simulation(tmp_path, slots=1)
    simulation.failure = Failure("error", "KeyError: 'x'", retry=True, trace="Traceback ...")
    (innocent,) = simulation.run(results=1, fails="source only")
    assert simulation.shared._broken_workers == 1
    lost(simulation, innocent)
    assert simulation.ledger.records[innocent.ask.trial.id].losses == 0
    assert simulation.searcher.suggest("again")["assignment"].ask == innocent.ask
    lost(simulation, innocent)
    assert simulation.ledger.records[innocent.ask.trial.id].losses == 1, "a worker breaks once"


def test_a_search_whose_choice_is_confirmed_is_not_tried_again(tmp_path: Path) -> None:
    """Another winner would throw the confirm trials away."""
    first = Simulation(tmp_path, slots=1)
    first.failure = Failure("data", "a.png", retry=True)
    (running,) = first.run(results=4)
    failing = running.ask
    first.ledger.end(failing, End("failed", "data", "a.png", 0, retry=True))
    first.run()
    assert first.finished()
    before = [ask.trial.id for ask in first.ledger.asks]
    again = Simulation(tmp_path)
    again.run()
    assert again.reports == 0
    assert [ask.trial.id for ask in again.ledger.asks] == before


def test_what_two_arms_share_is_compared_with_in_both(tmp_path: Path) -> None:
    arms = {
        "rate": Arm(FDA, learning_rate=RATE),
        "rate and momentum": Arm(FDA, learning_rate=RATE, momentum=OneOf(0.9, 0.8, 0.7)),
    }
    simulation = Simulation(tmp_path, dataclasses.replace(STUDY, arms=arms, reference="rate"))
    simulation.run()
    default = simulation.ledger.asked("rate", "search")[0].trial.id
    assert simulation.ledger.asked("rate and momentum", "search")[0].trial.id == default
    reached = {arrival.arm for arrival in simulation.ledger.arrivals if arrival.trial == default}
    assert reached == set(arms)
    assert len(simulation.record("rate", "search")) == len(simulation.record("rate and momentum", "search")) == 6


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
    assignment: Assignment = simulation.searcher.suggest("next")["assignment"]
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
