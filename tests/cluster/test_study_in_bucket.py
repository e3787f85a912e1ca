"""Studies whose results lie in a bucket: machines are lost, the server goes away, and the same command goes on."""

import dataclasses
import io
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import ray
import torch

from platform.records.record import Report
from platform.records.storage.bucket import Bucket
from platform.records.store import CHECKPOINT, JOURNAL, RECORD, Store, trial_file
from tests.support import checkout
from tests.support.cluster.nodes import Nodes, Watch, follow
from tests.support.cluster.nodes import study as study_of_nodes
from tests.support.faults.inspection import inspect
from tests.support.faults.processes import Command, Machine
from tests.support.faults.small_study import NAME, TEXT, Undisturbed
from tests.support.patience import PATIENCE
from tests.support.s3_server import KEYS, Server

pytestmark = pytest.mark.slow

SMALL = TEXT.replace("trials=6", "trials=3").replace("seeds=2", "seeds=1")
ENDLESS = SMALL.replace("steps=16, evaluations=8", "steps=100_000, evaluations=5_000").replace(
    "smoothing=2)", "smoothing=2, parallel=2)"
)
"""As many trials at once as there are slots, so that those that were trained go on."""
LONG = 1000.0
"""Seconds that no report of these studies takes."""

NewMachine = Callable[..., Machine]


def machine_in(folder: Path, cache: Path, uri: str, text: str = SMALL) -> Machine:
    """A machine where nothing ran yet: a checkout and a home of its own, and results in a bucket."""
    made = checkout.make(folder / "checkout", cache)
    environment = KEYS | {"PLATFORM_RESULTS": uri, "XDG_STATE_HOME": str(folder / "state")}
    study = made.write(f"{NAME}.py", text)
    return Machine(dataclasses.replace(made, environment=made.environment | environment), study)


@pytest.fixture
def new_machine(tmp_path: Path, cache: Path) -> Iterator[NewMachine]:
    """Makes machines; whatever a failing test leaves running on them ends with it."""
    made: list[Machine] = []

    def make(uri: str, text: str = SMALL) -> Machine:
        made.append(machine_in(tmp_path / f"machine-{len(made)}", cache, uri, text))
        return made[-1]

    yield make
    for machine in made:
        machine.lose_power()


@pytest.fixture
def server(s3: Server, tmp_path: Path) -> Iterator[Server]:
    """A server that the test may stop; the session's own has put the keys into the environment."""
    with Server(tmp_path) as server:
        yield server


def files(bucket: Bucket, folder: str = "") -> Iterator[str]:
    """All files below a folder of a bucket."""
    for name in bucket.names(folder):
        path = f"{folder}/{name}".lstrip("/")
        below = list(files(bucket, path))
        yield from below or [path]


def contents(bucket: Bucket) -> dict[str, bytes]:
    """Everything in a bucket, by name."""
    return {name: bucket.read(name) for name in files(bucket)}


def trials_with(bucket: Bucket, name: str) -> list[str]:
    """The trials that left a file."""
    return [trial for trial in bucket.names("trials") if name in bucket.names(f"trials/{trial}")]


def reports(bucket: Bucket, trials: Iterable[str]) -> dict[str, tuple[Report, ...]]:
    """What is on record of trials, by their ids."""
    records = {trial: Store(Path("nowhere"), bucket).read(trial) for trial in trials}
    return {trial: record.reports if record else () for trial, record in records.items()}


def until(command: Command, happened: Callable[[], bool]) -> None:
    """Wait for something that a command does."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert command.running, command.output
        assert time.monotonic() < deadline, command.output
        time.sleep(0.05)


def make_slow(bucket: Bucket) -> list[str]:
    """Have all checkpoints say that the next report has taken long already: who goes on from one will report it."""
    trials = trials_with(bucket, CHECKPOINT)
    for trial in trials:
        file, content = trial_file(trial, CHECKPOINT), io.BytesIO()
        state = torch.load(io.BytesIO(bucket.read(file)), weights_only=True)
        state["extra"]["spent"]["seconds"] += LONG
        torch.save(state, content)
        bucket.write(file, content.getvalue())
    return trials


def slow(bucket: Bucket, trials: Iterable[str]) -> set[str]:
    """The trials of which a worker went on from such a checkpoint."""
    found = reports(bucket, trials)
    return {trial for trial in found if any(report.seconds > LONG for report in found[trial])}


def check_one_line(command: Command) -> None:
    """The command says in one line why it ended, and how to go on."""
    said = [line for line in command.output.splitlines() if "error: " in line]
    assert len(said) == 1, command.output
    assert said[0].startswith("error: ")
    assert said[0].endswith("; mend that, and the same command goes on from here")
    assert "Traceback" not in command.output


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Undisturbed]:
    """What the numbers of each trial must be, wherever its results lie."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        yield Undisturbed(tmp_path_factory.mktemp("undisturbed"), SMALL)


@pytest.fixture(scope="module")
def finished(s3: Server, tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Machine]:
    """The machine on which the study came to its end, after one was lost on which it trained before."""
    uri, folder = s3.uri("finished"), tmp_path_factory.mktemp("finished")
    bucket, lost, machine = (
        Bucket(uri),
        machine_in(folder / "lost", cache, uri),
        machine_in(folder / "other", cache, uri),
    )
    command = lost.start()
    try:
        until(command, lambda: bool(trials_with(bucket, CHECKPOINT)))
    finally:
        lost.lose_power()
    trained = make_slow(bucket)
    command = machine.start()
    assert command.wait() == 0, command.output
    assert slow(bucket, trained), "no worker went on from a checkpoint"
    yield machine
    machine.lose_power()


@pytest.fixture(scope="module")
def bucket(s3: Server, finished: Machine) -> Bucket:
    """What the finished study left."""
    return Bucket(s3.uri("finished"))


def test_a_lost_machine_changes_nothing(finished: Machine, bucket: Bucket, undisturbed: Undisturbed) -> None:
    """Number for number, weight for weight: the bucket holds what a folder of results would."""
    assert not finished.results.exists(), "something was left in the checkout"
    for name, content in contents(bucket).items():
        (finished.results / name).parent.mkdir(parents=True, exist_ok=True)
        (finished.results / name).write_bytes(content)
    inspect(finished, undisturbed)


def test_table_and_log_are_in_the_bucket_too(bucket: Bucket) -> None:
    files = {
        JOURNAL,
        "log.txt",
        "table.md",
        "table.csv",
        "table.tex",
        "curves.png",
        "responses.png",
        "comparison.png",
        "records.parquet",
    }
    assert files <= set(bucket.names(NAME))


def test_another_machine_gives_the_same_table_without_training(
    s3: Server, bucket: Bucket, new_machine: NewMachine
) -> None:
    before = contents(bucket)
    bucket.remove(f"{NAME}/table.md")
    other = new_machine(s3.uri("finished"))
    code, output = other.checkout.study(other.study, "--report")
    assert code == 0, output
    assert contents(bucket) == before


def test_starting_over_sets_everything_aside_and_a_server_that_dies_is_said(
    server: Server, bucket: Bucket, new_machine: NewMachine
) -> None:
    before, anew = contents(bucket), Bucket(server.uri("lab"))
    for name, content in before.items():
        anew.write(name, content)
    machine = new_machine(server.uri("lab"))
    command = machine._start("platform.study", machine.study, "--fresh")
    until(command, lambda: "begins" in command.output and bool(trials_with(anew, CHECKPOINT)))
    (aside,) = anew.names("set-aside")
    assert f"s3://results/lab/set-aside/{aside}" in "".join(command.output.split())
    assert contents(Bucket(server.uri(f"lab/set-aside/{aside}"))) == before
    assert len(anew.names("trials")) < len(bucket.names("trials"))
    server.kill()
    assert command.wait() == 3, command.output
    check_one_line(command)
    assert machine.left_behind() == []


def test_after_ctrl_c_and_after_an_outage_the_same_command_goes_on(server: Server, new_machine: NewMachine) -> None:
    machine, bucket = new_machine(server.uri("lab"), ENDLESS), Bucket(server.uri("lab"))
    command = machine.start()
    until(command, lambda: bool(trials_with(bucket, CHECKPOINT)))
    command.send(signal.SIGINT)
    assert command.wait() == 128 + signal.SIGINT, command.output
    assert "the same command goes on from here" in " ".join(command.output.split())
    assert machine.left_behind() == []
    assert not [name for name in bucket.names(NAME) if name.startswith("stop")]
    trained = make_slow(bucket)

    command = machine.start()
    until(command, lambda: slow(bucket, trained) == set(trained))
    server.freeze()
    try:
        code = command.wait()
    finally:
        server.thaw()
    assert code == 3, command.output
    check_one_line(command)
    assert machine.left_behind() == []

    before = reports(bucket, trained)
    command = machine.start()
    until(command, lambda: all(len(after) > len(before[trial]) for trial, after in reports(bucket, trained).items()))
    after = reports(bucket, trained)
    assert {trial: after[trial][: len(before[trial])] for trial in trained} == before


@pytest.fixture
def cluster(s3: Server) -> Iterator[Nodes]:
    """A head that trains nothing and two nodes, which have the keys in their environment."""
    made = Nodes(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        made.add_node(num_cpus=1)
    ray.init(made.address, log_to_driver=False)
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()  # type: ignore[no-untyped-call]


def test_nodes_share_a_bucket(cluster: Nodes, s3: Server, new_machine: NewMachine) -> None:
    made, bucket, watch = new_machine(s3.uri("nodes")).checkout, Bucket(s3.uri("nodes")), Watch()
    file = study_of_nodes(made, '{"source only": Arm(SourceOnly), "FDA": Arm(FDA)}')
    code, output = follow(made.start(file, "--address", cluster.address), watch.look)
    assert code == 0, output
    assert len(watch.most) == 2
    assert len(trials_with(bucket, RECORD)) == len(trials_with(bucket, CHECKPOINT)) == 4
    lines = bucket.read("nodes/table.csv").decode().splitlines()
    assert [line.partition(",")[0] for line in lines[1:]] == ["source only", "FDA"]
