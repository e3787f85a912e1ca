"""A study on several nodes: Ray's own test cluster on one machine, with made-up GPUs; shares, refusals, late nodes."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from platform.records.store import Store
from tests.support import own_shift
from tests.support.checkout import Checkout
from tests.support.cluster.nodes import Nodes, Watch, follow, study

pytestmark = pytest.mark.slow

PICKY = "Elsewhere(**vars(shift))"


@pytest.fixture
def cluster() -> Iterator[Nodes]:
    """A head that trains nothing, this process being one of its drivers."""
    made = Nodes(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    ray.init(made.address, log_to_driver=False)
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()  # type: ignore[no-untyped-call]


def nodes_of(results: Path, name: str = "nodes") -> set[str]:
    """The machines that the reports name."""
    store = Store(results)
    records = [store.read(ask.trial.id) for ask in store.journal(name).asks]
    return {report.node for record in records if record is not None for report in record.reports}


def test_arms_have_shares_of_gpus_of_their_own(cluster: Nodes, fresh_checkout: Checkout) -> None:
    gpus = [cluster.add_node(num_cpus=4, num_gpus=1) for _ in range(2)]
    arms = '{"source only": Arm(SourceOnly), "wide": Arm(Adversarial, width=4).on(gpus=1, cpus=2)}'
    file = study(fresh_checkout, arms, "Budget(steps=4, evaluations=2, gpus=0.5, memory=0.25)", seeds=4)
    watch = Watch()
    code, output = follow(fresh_checkout.start(file, "--address", cluster.address), watch.look)
    assert code == 0, output
    memory = 0.25 * 2**30
    assert watch.slots == {
        (("CPU", 1.0), ("GPU", 0.5), ("memory", memory)),
        (("CPU", 2.0), ("GPU", 1.0), ("memory", memory)),
    }
    assert {node: watch.most[node] for node in watch.most} == {gpu.node_id: 2 for gpu in gpus}
    code, plan = fresh_checkout.study(file, "--address", cluster.address, "--plan")
    assert code == 0, plan
    assert re.search(r"cluster +3 nodes with 8 CPUs and 2 GPUs: 2 to 4, by their arm, trials at a\s+time", plan)


def test_what_no_node_can_hold_is_refused_with_the_numbers(cluster: Nodes, fresh_checkout: Checkout) -> None:
    cluster.add_node(num_cpus=2, num_gpus=1)
    arms = '{"source only": Arm(SourceOnly), "wide": Arm(FDA).on(gpus=2)}'
    file = study(fresh_checkout, arms, "Budget(steps=4, evaluations=2, gpus=0.5)")
    for option in ([], ["--plan"]):
        code, output = fresh_checkout.study(file, "--address", cluster.address, *option)
        assert code == 2, output
        assert output.splitlines()[-1].startswith(
            "error: a trial of 'wide' needs 1 CPU, 2 GPUs on one node, and no node has that: at most 1 GPU; lower "
        )
    assert not list(fresh_checkout.root.glob("results/trials/*/record.jsonl"))


def test_without_gpus_everything_trains_on_cpus(cluster: Nodes, fresh_checkout: Checkout) -> None:
    cluster.add_node(num_cpus=2)
    file = study(fresh_checkout, '{"source only": Arm(SourceOnly)}', "Budget(steps=4, evaluations=2, gpus=0.5)")
    watch = Watch()
    code, output = follow(fresh_checkout.start(file, "--address", cluster.address), watch.look)
    assert code == 0, output
    assert watch.slots == {(("CPU", 1.0),)}


def test_a_node_that_joins_late_is_used_at_once(cluster: Nodes, fresh_checkout: Checkout) -> None:
    cluster.add_node(num_cpus=1)
    file = study(fresh_checkout, '{"source only": Arm(SourceOnly)}', "Budget(steps=40, evaluations=8)", seeds=6)
    watch = Watch()
    process = fresh_checkout.start(file, "--address", cluster.address)
    while not watch.most and process.poll() is None:
        watch.look()
        time.sleep(0.05)
    late = cluster.add_node(num_cpus=2)
    code, output = follow(process, watch.look)
    assert code == 0, output
    assert watch.most[late.node_id] == 2


def test_a_node_without_the_data_is_named_and_trials_go_elsewhere(cluster: Nodes, fresh_checkout: Checkout) -> None:
    without = cluster.add_node(num_cpus=1, env_vars={"NO_TOWN": "1"})
    cluster.add_node(num_cpus=1)
    file = study(fresh_checkout, '{"source only": Arm(SourceOnly), "mine": Arm(Mine)}', seeds=4, shift=PICKY)
    watch = Watch()
    code, output = follow(fresh_checkout.start(file, "--address", cluster.address), watch.look)
    assert code == 0, output
    assert output.count("gets no more trials: /data/town does not exist; copy it there") == 1
    assert watch.most[without.node_id] == 1


def test_a_study_whose_data_no_node_has_ends_and_says_so(cluster: Nodes, fresh_checkout: Checkout) -> None:
    cluster.add_node(num_cpus=2, env_vars={"NO_TOWN": "1"})
    file = study(fresh_checkout, '{"source only": Arm(SourceOnly), "mine": Arm(Mine)}', shift=PICKY)
    code, output = fresh_checkout.study(file, "--address", cluster.address)
    assert code == 1, output
    assert "/data/town does not exist; copy it there" in (fresh_checkout.root / "results/nodes/table.md").read_text()
    cluster.add_node(num_cpus=2)
    code, output = fresh_checkout.study(file, "--address", cluster.address)
    assert code == 0, output


def test_the_node_of_the_last_trial_is_lost(cluster: Nodes, fresh_checkout: Checkout) -> None:
    """There is room for it elsewhere, though nothing else is left to do."""
    nodes = {node.node_id: node for node in (cluster.add_node(num_cpus=1) for _ in range(2))}
    file = study(fresh_checkout, '{"source only": Arm(SourceOnly)}', "Budget(steps=60, evaluations=30)", seeds=1)
    process, watch = fresh_checkout.start(file, "--address", cluster.address), Watch()
    store, lost = Store(fresh_checkout.root / "results"), False
    while process.poll() is None:
        watch.look()
        records = [store.read(ask.trial.id) for ask in store.journal("nodes").asks]
        if not lost and any(record is not None and record.reports for record in records):
            (node,) = watch.most
            cluster.remove_node(nodes[node], allow_graceful=False)
            lost = True
        time.sleep(0.05)
    assert process.stdout is not None
    output = process.stdout.read()
    assert lost
    assert process.returncode == 0, output
    assert "lost its worker; it goes" in output
    assert "goes on from" in output


def test_workers_of_a_cluster_import_what_the_users_path_names(
    cluster: Nodes, fresh_checkout: Checkout, tmp_path: Path
) -> None:
    cluster.add_node(num_cpus=1)
    (tmp_path / "mylab.py").write_text("half = 0.5\n")
    file = study(fresh_checkout, '{"source only": Arm(SourceOnly), "mine": Arm(Mine)}', seeds=1)
    text = (fresh_checkout.root / file).read_text()
    (fresh_checkout.root / file).write_text(
        text.replace("import os\n", "import os\nimport mylab\n").replace(
            "class Mine(SourceOnly):\n",
            "class Mine(SourceOnly):\n    def losses(self, step):\n        return mylab and super().losses(step)\n",
        )
    )
    code, output = fresh_checkout.study(file, "--address", cluster.address, PYTHONPATH=str(tmp_path))
    assert code == 0, output


def test_a_shift_of_the_users_own_is_trained_on_every_node(cluster: Nodes, fresh_checkout: Checkout) -> None:
    """No arm has a method of the study file's, by which workers would get the file's classes anyway."""
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    fresh_checkout.write("helper.py", own_shift.HELPER)
    file = fresh_checkout.write("nodes.py", own_shift.STUDY.replace(', "mine": Arm(Mine)', ""))
    watch = Watch()
    code, output = follow(fresh_checkout.start(file, "--address", cluster.address), watch.look)
    assert code == 0, output
    assert watch.most == {node.node_id: 1 for node in nodes}
    assert "lost its worker" not in output
