"""A committee of rows that were trained for real: its numbers are a vote of its members' checkpoints, taken by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch.nn import functional

from platform.networks import BiSeNet18
from platform.records.ledger import Ledger
from platform.records.record import Record
from platform.records.store import CHECKPOINT, trial_file
from platform.results.aggregation import tabulate
from platform.results.report import markdown
from platform.results.table import Table
from platform.shifts import town
from platform.shifts.shift import LabelledImages
from tests.support.arrays import all_of
from tests.support.trained_study import NAME, study_file, train

pytestmark = pytest.mark.slow

ARMS = """"source only": Arm(SourceOnly, learning_rate=0.01),
        "FDA": Arm(FDA, beta=0.1, learning_rate=0.01),
        "fast": Arm(FDA, beta=0.1, learning_rate=0.02, network=BiSeNet18(width=0.0625)),
        "committee": Arm(MajorityVote).after("source only", "FDA", "fast"),
        "student": Arm(Distillation, network=BiSeNet18(width=0.0625)).after("committee"),"""
MEMBERS = {"source only": 0.125, "FDA": 0.125, "fast": 0.0625}
"""The rows that vote, and the widths of their networks."""
SPLITS = town(size=(32, 64), source_images=(12, 4), target_images=(12, 4, 4)).open()


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    folder = tmp_path_factory.mktemp("committee")
    return train(study_file(folder, '"source/miou"', arms=ARMS), folder)


def record_of(book: Ledger, arm: str, seed: int) -> Record:
    (found,) = (ask.trial.id for ask in book.asks if (ask.arm, ask.trial.seed) == (arm, seed))
    record = book.store.read(found)
    assert record is not None
    return record


def state_of(book: Ledger, arm: str, seed: int) -> dict[str, Any]:
    file = book.store.folder / trial_file(record_of(book, arm, seed).trial.id, CHECKPOINT)
    modules: dict[str, Any] = torch.load(file, weights_only=True)["modules"]
    return modules


@torch.no_grad()
def said_by(book: Ledger, arm: str, seed: int, split: LabelledImages) -> np.ndarray:
    """What a member says of each pixel."""
    network = BiSeNet18(width=MEMBERS[arm]).build()
    network.load_state_dict(state_of(book, arm, seed)["segmentation"])
    images = torch.from_numpy(all_of(split.images.pixels).copy()).permute(0, 3, 1, 2).float()
    logits = network.eval()(images).logits
    return functional.interpolate(logits, size=images.shape[2:], mode="bilinear", align_corners=False).double().numpy()


def counted(book: Ledger, seed: int, split: LabelledImages) -> tuple[np.ndarray, np.ndarray]:
    """The confusion of the vote, pixel by pixel, void last, at least and at most.

    Members that are sure of different classes leave means that are equal but for their rounding, which decides.
    """
    said = [said_by(book, arm, seed, split) for arm in MEMBERS]
    mean = np.mean([softmax(each, axis=1) for each in said], axis=0)
    ballots = np.stack([each.argmax(axis=1) for each in said])
    labels, least, most = all_of(split.labels), np.zeros((20, 20), int), np.zeros((20, 20), int)
    for image, row, column in np.ndindex(*labels.shape):
        cast = ballots[:, image, row, column].tolist()
        votes = max(map(cast.count, cast))
        p = {c: mean[image, c, row, column] for c in cast if cast.count(c) == votes}
        label, elected = min(int(labels[image, row, column]), 19), [c for c in p if p[c] > max(p.values()) - 1e-5]
        least[label, elected] += len(elected) == 1
        most[label, elected] += 1
    return least, most


@pytest.mark.parametrize("seed", [1, 2])
def test_the_confusion_is_that_of_a_vote_of_the_rows_checkpoints(book: Ledger, seed: int) -> None:
    (report,) = record_of(book, "committee", seed).reports
    confusion = np.array(report.confusions["target/test"])
    least, most = counted(book, seed, SPLITS.oracle.test)
    assert (least <= confusion).all()
    assert (confusion <= most).all()
    assert confusion.sum() == all_of(SPLITS.oracle.test.labels).size
    for arm in MEMBERS:
        alone = record_of(book, arm, seed).reports[-1].confusions["target/test"]
        assert not np.array_equal(confusion, alone), "the members disagree, or this tests nothing"


def test_it_is_evaluated_once_and_its_members_at_each_evaluation(book: Ledger) -> None:
    assert [len(record_of(book, arm, 1).reports) for arm in (*MEMBERS, "committee", "student")] == [2, 2, 2, 1, 2]
    assert record_of(book, "committee", 1).reports[0].step == 8


@pytest.fixture(scope="module")
def table(book: Ledger) -> Table:
    header = book.store.journal(NAME).header
    assert header is not None
    return tabulate(header, book.asks, book.by_arm())


def test_the_table_has_its_cost_and_no_speed(table: Table) -> None:
    rows = {row.arm: row for row in table.rows}
    for name in ("deployed_parameters", "deployed_gflops", "original_gflops"):
        whole = sum(getattr(rows[arm].cost, name) for arm in MEMBERS)
        assert getattr(rows["committee"].cost, name) == pytest.approx(whole)
    assert rows["committee"].cost.step_gflops == 0
    assert np.isnan(rows["committee"].speed.images_per_second)
    assert rows["committee"].effort.hours > sum(rows[arm].effort.hours for arm in MEMBERS)
    assert "committee" in markdown.render(table)


def test_a_committee_teaches(book: Ledger) -> None:
    """Its student is a network of its own, and deploys that alone."""
    taught, teacher = state_of(book, "student", 1), state_of(book, "committee", 1)["committee"]
    assert all(torch.equal(taught["distilled network"][name], value) for name, value in teacher.items())
    assert BiSeNet18(width=0.0625).build().load_state_dict(taught["segmentation"])


def test_each_seed_is_a_vote_of_trials_with_that_seed(book: Ledger) -> None:
    after = {ask.trial.seed: ask.trial.after for ask in book.asks if ask.arm == "committee"}
    for seed, members in after.items():
        assert members == tuple(record_of(book, arm, seed).trial.id for arm in MEMBERS)
