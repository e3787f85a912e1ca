"""Every shipped method, and rows that come after others, with the driver killed by SIGKILL: the same numbers."""

import time
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

import platform.methods
from platform.methods import Method
from platform.records.record import Record
from platform.records.store import CHECKPOINT, Store, trial_file
from tests.support import checkout
from tests.support.faults.processes import Machine

pytestmark = pytest.mark.slow
NAME = "methods"
TEXT = '''"""Does a driver that is killed change what a method learns?"""

from platform.methods import (
    CORAL, DACS, DANN, FDA, AdaBN, Adversarial, AdvEnt, LabTransfer, MinEnt, MultiLevelAdversarial, RareClassSampling,
    SourceOnly, TargetSupervised,
)
from platform.networks import LRASPP, BiSeNet18
from platform.shifts import town
from platform.study import Arm, Budget, Recipe, Study

study = Study(
    shift=town(size=(64, 64), source_images=(8, 2), target_images=(8, 2, 2)),
    arms={
        "SourceOnly": Arm(SourceOnly),
        "TargetSupervised": Arm(TargetSupervised),
        "Adversarial": Arm(Adversarial, width=4),
        "AdvEnt": Arm(AdvEnt, width=4, criterion="least squares"),
        "MultiLevelAdversarial": Arm(MultiLevelAdversarial, width=4),
        "DANN": Arm(DANN, hidden=4),
        "FDA": Arm(FDA, beta=0.1),
        "LabTransfer": Arm(LabTransfer),
        "MinEnt": Arm(MinEnt),
        "DACS": Arm(DACS, threshold=0.05),
        "RareClassSampling": Arm(RareClassSampling),
        "CORAL": Arm(CORAL),
        "FDA and Adversarial": Arm(FDA, Adversarial, width=4),
        "AdaBN": Arm(AdaBN).after("SourceOnly"),
        "DACS after AdaBN": Arm(DACS, threshold=0.05).after("AdaBN"),
        "LRASPP": Arm(SourceOnly, network=LRASPP()),
    },
    reference="SourceOnly",
    budget=Budget(steps=6, evaluations=3),
    seeds=1,
    recipe=Recipe(network=BiSeNet18(width=0.0625), batch=2),
)
'''


def test_every_shipped_method_has_a_row() -> None:
    exported = {name for name, entry in vars(platform.methods).items() if isinstance(entry, type) and name != "Method"}
    methods = {name for name in exported if issubclass(vars(platform.methods)[name], Method)}
    assert [name for name in sorted(methods) if f"Arm({name}" not in TEXT] == []


def test_a_driver_that_is_killed_again_and_again_goes_on_to_the_same_numbers_and_weights(
    tmp_path: Path, cache: Path, request: pytest.FixtureRequest
) -> None:
    undisturbed = made(tmp_path / "undisturbed", cache)
    began = time.monotonic()
    command = undisturbed.start()
    assert command.wait() == 0, command.output
    seconds = time.monotonic() - began
    # It takes minutes: more seeds are more kills of one run.
    kills = 1 + request.config.getoption("--seeds")
    random = Random("methods")
    machine = made(tmp_path / "killed", cache)
    for _ in range(kills):
        command = machine.start()
        if command.outlives(random.uniform(0.15, 1.5 / kills) * seconds):
            command.kill()
            machine.lose_power()
    command = machine.start()
    assert command.wait() == 0, command.output
    found, expected = left(machine), left(undisturbed)
    assert found.keys() == expected.keys()
    for arm in expected:
        assert found[arm][0] == expected[arm][0], arm
        assert all(
            torch.equal(found[arm][1][player][name], value)
            for player, values in expected[arm][1].items()
            for name, value in values.items()
        ), arm


def made(folder: Path, cache: Path) -> Machine:
    there = checkout.make(folder / "checkout", cache)
    return Machine(there, there.write(f"{NAME}.py", TEXT))


def left(machine: Machine) -> dict[str, Any]:
    """The reports of each row's trial, and its players' states, by arm."""
    store = Store(machine.results)
    found = {}
    for ask in store.journal(NAME).asks:
        record = store.read(ask.trial.id)
        assert isinstance(record, Record)
        assert record.end is not None
        assert record.end.state == "complete", f"{ask.arm}: {record.end.reason}"
        reports = [(report.step, report.metrics, report.confusions) for report in record.reports]
        checkpoint = machine.results / trial_file(ask.trial.id, CHECKPOINT)
        found[ask.arm] = reports, torch.load(checkpoint, weights_only=True)["modules"]
    return found
