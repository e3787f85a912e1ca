"""Every shipped method, and rows that come after others: each trial loses its driver by SIGKILL between two reports."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import platform.methods
from platform.methods import Method
from platform.records.record import Record
from platform.records.store import CHECKPOINT, Store, trial_file
from tests.support import checkout
from tests.support.faults import moments
from tests.support.faults.processes import Command, Machine

pytestmark = pytest.mark.slow
NAME = "methods"
SLOTS = 6
PLACE = "HELD"
"""The environment variable that names the folder where trials say that they wait, and see whether they may go on."""
TEXT = f'''"""Does a driver that is killed change what a method learns?"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from platform.methods import (
    CBST, CORAL, DACS, DANN, FDA, MMD, AdaBN, AdvEnt, Adversarial, BatchNormMoments, ClassConditionalAdversarial,
    Distillation, HistogramMatching, LabTransfer, MajorityVote, MaxSquare, MinEnt, MultiBandTransfer,
    MultiLevelAdversarial, PseudoLabels, RareClassSampling, SourceOnly, TargetSupervised, TranslatedImages,
)
from platform.networks import LRASPP, BiSeNet18
from platform.shifts import town
from platform.study import Arm, Budget, Recipe, Study


TRANSLATED = str(Path(__file__).absolute().parent / "translated")


def held(name, method):
    """The method, which waits in the step after its first report where it is told to."""

    def losses(self, step):
        place = os.environ.get("{PLACE}")
        if place is not None and step.number == 3:
            Path(place, f"{{name}}.waits").touch()
            while not Path(place, f"{{name}}.goes on").exists():
                time.sleep(0.01)
        return method.losses(self, step)

    return dataclass(frozen=True, kw_only=True)(type(name, (method,), {{"losses": losses}}))


study = Study(
    shift=town(size=(64, 64), source_images=(8, 2), target_images=(8, 2, 2)),
    arms={{
        "SourceOnly": Arm(held("SourceOnly", SourceOnly)),
        "TargetSupervised": Arm(held("TargetSupervised", TargetSupervised)),
        "Adversarial": Arm(held("Adversarial", Adversarial), width=4),
        "AdvEnt": Arm(held("AdvEnt", AdvEnt), width=4, criterion="least squares"),
        "MultiLevelAdversarial": Arm(held("MultiLevelAdversarial", MultiLevelAdversarial), width=4),
        "ClassConditionalAdversarial": Arm(held("ClassConditionalAdversarial", ClassConditionalAdversarial), width=4),
        "DANN": Arm(held("DANN", DANN), hidden=4),
        "FDA": Arm(held("FDA", FDA), beta=0.1),
        "LabTransfer": Arm(held("LabTransfer", LabTransfer)),
        "HistogramMatching": Arm(held("HistogramMatching", HistogramMatching)),
        "TranslatedImages": Arm(held("TranslatedImages", TranslatedImages), folder=TRANSLATED),
        "MinEnt": Arm(held("MinEnt", MinEnt)),
        "MaxSquare": Arm(held("MaxSquare", MaxSquare)),
        "DACS": Arm(held("DACS", DACS), threshold=0.05),
        "RareClassSampling": Arm(held("RareClassSampling", RareClassSampling)),
        "CORAL": Arm(held("CORAL", CORAL)),
        "MMD": Arm(held("MMD", MMD), samples=16),
        "BatchNormMoments": Arm(held("BatchNormMoments", BatchNormMoments)),
        "Composed": Arm(held("Composed", FDA), Adversarial, width=4),
        "AdaBN": Arm(held("AdaBN", AdaBN)).after("SourceOnly"),
        "PseudoLabels": Arm(held("PseudoLabels", PseudoLabels), rounds=3).after("SourceOnly"),
        "CBST": Arm(held("CBST", CBST), rounds=3).after("SourceOnly"),
        "MultiBandTransfer": Arm(held("MultiBandTransfer", MultiBandTransfer)).after("FDA"),
        "Distillation": Arm(held("Distillation", Distillation)).after("DACS"),
        "MajorityVote": Arm(held("MajorityVote", MajorityVote)).after("SourceOnly", "FDA", "DACS"),
        "Thrice": Arm(held("Thrice", DACS), threshold=0.05).after("AdaBN"),
        "LRASPP": Arm(held("LRASPP", SourceOnly), network=LRASPP()),
    }},
    reference="SourceOnly",
    budget=Budget(steps=6, evaluations=3),
    seeds=1,
    recipe=Recipe(network=BiSeNet18(width=0.0625), batch=2),
)
'''
ARMS = re.findall(r'"(\w+)": Arm', TEXT)
AFTER = {arm: re.findall(r'"(\w+)"', named) for arm, named in re.findall(r'"(\w+)": Arm.*after\((.*)\)', TEXT)}


def test_every_shipped_method_has_a_row() -> None:
    exported = {name for name, entry in vars(platform.methods).items() if isinstance(entry, type) and name != "Method"}
    methods = {name for name in exported if issubclass(vars(platform.methods)[name], Method)}
    assert [name for name in sorted(methods) if f", {name})" not in TEXT] == []


@pytest.mark.thorough
def test_each_trial_goes_on_from_its_checkpoint_to_the_same_numbers_and_weights(tmp_path: Path, cache: Path) -> None:
    undisturbed = made(tmp_path / "undisturbed", cache)
    command = undisturbed.start()
    assert command.wait() == 0, command.output
    expected = left(undisturbed)
    assert list(expected) == ARMS

    machine, place = made(tmp_path / "killed", cache), tmp_path / "held"
    place.mkdir()
    struck: list[str] = []
    while len(struck) < len(ARMS):
        command = machine.start(**{PLACE: str(place)}, **moments.of(SLOTS))
        waiting = all_that_can_wait(machine, command, place, struck)
        command.kill()
        machine.lose_power()
        for arm in waiting:
            record = records(machine)[arm]
            assert [report.step for report in record.reports] == [2]
            assert record.end is None
            (place / f"{arm}.goes on").touch()
        struck += waiting
    command = machine.start(**{PLACE: str(place)}, **moments.of(SLOTS))
    assert command.wait() == 0, command.output
    printed = "".join(file.read_text() for file in machine.checkout.root.glob("output-*.txt"))
    went_on = set(re.findall(r"(\w+) +seed 1 +goes on from 2", printed))
    assert went_on == set(ARMS)

    found = left(machine)
    assert found.keys() == expected.keys()
    for arm in expected:
        assert found[arm][0] == expected[arm][0], arm
        assert all(
            torch.equal(found[arm][1][player][name], value)
            for player, values in expected[arm][1].items()
            for name, value in values.items()
        ), arm


def all_that_can_wait(machine: Machine, command: Command, place: Path, struck: list[str]) -> list[str]:
    """The rows that wait, as soon as all do that have a slot."""
    while command.running:
        done = {arm for arm, record in records(machine).items() if record.end is not None}
        can = [arm for arm in ARMS if arm not in struck and done.issuperset(AFTER.get(arm, ()))]
        waiting = [arm for arm in can if (place / f"{arm}.waits").exists()]
        if waiting and len(waiting) >= min(SLOTS, len(can)):
            return waiting
        time.sleep(0.05)
    raise AssertionError(command.output)


def made(folder: Path, cache: Path) -> Machine:
    there = checkout.make(folder / "checkout", cache)
    translated = there.root / "studies/translated"
    translated.mkdir()
    for number, colour in enumerate(range(0, 256, 32)):
        Image.new("RGB", (64, 64), (colour, 128, 255 - colour)).save(translated / f"{number:05d}.png")
    return Machine(there, there.write(f"{NAME}.py", TEXT))


def records(machine: Machine) -> dict[str, Record]:
    """What is on record of each row's trial."""
    store = Store(machine.results)
    found = {ask.arm: store.read(ask.trial.id) for ask in store.journal(NAME).asks}
    return {arm: record for arm, record in found.items() if record is not None}


def left(machine: Machine) -> dict[str, Any]:
    """The reports of each row's trial, and its players' states, in the study's order."""
    found = {}
    for arm, record in records(machine).items():
        assert record.end is not None
        assert record.end.state == "complete", f"{arm}: {record.end.reason}"
        reports = [(report.step, report.metrics, report.confusions) for report in record.reports]
        checkpoint = machine.results / trial_file(record.trial.id, CHECKPOINT)
        found[arm] = reports, torch.load(checkpoint, weights_only=True)["modules"]
    return {arm: found[arm] for arm in ARMS if arm in found}
