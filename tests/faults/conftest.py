"""What the fault tests share: how many seeds, the study undisturbed, and a machine for each test."""

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.support import checkout
from tests.support.faults import moments
from tests.support.faults.inspection import inspect
from tests.support.faults.processes import Finished, Machine
from tests.support.faults.small_study import NAME, TEXT, Undisturbed
from tests.support.once import once


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test of a fault as many seeds as were asked for."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(metafunc.config.getoption("--seeds")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave what is quick for the end."""
    items.sort(key=lambda item: item.path.name == "test_inspection.py")


@pytest.fixture
def random(request: pytest.FixtureRequest, seed: int) -> Random:
    """Draws the moments, the victims and how many there are: the same for the same test and seed."""
    return Random(f"{request.node.originalname} {seed}")


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Undisturbed]:
    """Trials without a fault, from the same cache of images as the command's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        yield Undisturbed(tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path, undisturbed: Undisturbed) -> Iterator[Finished]:
    """The study's command, from an empty folder to its end; it passes the same inspection as the others."""

    def run() -> Finished:
        undisturbed.study.shift.open()  # rendered here, so that no moment of a fault is spent on it
        made = checkout.make(tmp_path_factory.mktemp("finished") / "checkout", cache)
        machine = Machine(made, made.write(f"{NAME}.py", TEXT))
        began = time.monotonic()
        command = machine.start()
        assert command.wait() == 0, command.output
        seconds = time.monotonic() - began
        inspect(machine, undisturbed)
        return Finished(machine, seconds)

    finished = once(tmp_path_factory, "finished", run)
    yield finished
    finished.machine.lose_power()


@pytest.fixture
def machine(tmp_path: Path, cache: Path, finished: Finished) -> Iterator[Machine]:
    """A machine on which the study never ran; whatever a failing test leaves running there ends with it."""
    made = checkout.make(tmp_path / "checkout", cache)
    machine = Machine(made, made.write(f"{NAME}.py", TEXT))
    yield machine
    machine.lose_power()


@pytest.fixture
def counted(tmp_path: Path, cache: Path) -> Iterator[Machine]:
    """A machine for the study whose moments are counted."""
    made = checkout.make(tmp_path / "checkout", cache)
    machine = Machine(made, made.write(f"{moments.NAME}.py", moments.TEXT))
    yield machine
    machine.lose_power()
