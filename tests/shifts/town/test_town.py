"""The rendered shift: geometry against the pinhole's equation, and what the design promises of its images, measured."""

import dataclasses
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch.nn import functional

from platform.networks.architectures.bisenet import BiSeNet
from platform.records.provenance import ROOT
from platform.shifts.labels import NUM_CLASSES, VOID, train_id
from platform.shifts.shift import LabelledImages, Shift, Splits
from platform.shifts.town.domains import SOURCE, TARGET
from platform.shifts.town.shift import DRAWN, Town, town
from tests.support.arrays import all_of
from tests.support.batches import labelled_batch
from tests.support.patience import PATIENCE

SMALL = Town(source_images=(24, 3), target_images=(24, 3, 4))


@pytest.fixture(scope="module")
def splits(cache: Path) -> Iterator[Splits]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        yield SMALL.open()


def labelled(splits: Splits) -> dict[str, LabelledImages]:
    return {
        "source/train": splits.source_train,
        "source/val": splits.source_val,
        "target/adapt": splits.oracle.adapt,
        "target/val": splits.oracle.val,
        "target/test": splits.oracle.test,
    }


# --- What it gives ---------------------------------------------------------------------------------------------------


def test_every_split_holds_the_images_that_were_asked_for(splits: Splits) -> None:
    counts = {name: len(split) for name, split in labelled(splits).items()}
    assert counts == {"source/train": 24, "source/val": 3, "target/adapt": 24, "target/val": 3, "target/test": 4}
    for name, split in labelled(splits).items():
        assert split.images.pixels.shape == (counts[name], 64, 128, 3)
        assert split.labels.shape == (counts[name], 64, 128)
        assert all_of(split.images.pixels).dtype == all_of(split.labels).dtype == np.uint8
        assert len(set(split.images.names)) == counts[name]


def test_the_unlabelled_splits_are_the_oracle_s_images(splits: Splits) -> None:
    assert np.array_equal(all_of(splits.target_adapt.pixels), all_of(splits.oracle.adapt.images.pixels))
    assert np.array_equal(all_of(splits.target_val.pixels), all_of(splits.oracle.val.images.pixels))


def test_no_two_images_of_any_splits_are_equal(splits: Splits) -> None:
    images = [image.tobytes() for split in labelled(splits).values() for image in all_of(split.images.pixels)]
    truths = [truth.tobytes() for split in labelled(splits).values() for truth in all_of(split.labels)]
    assert len(set(images)) == len(images) == len(set(truths))


@pytest.mark.parametrize("size", [(32, 32), (48, 160), (65, 97)])
def test_other_sizes(size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    opened = town(size, source_images=(1, 1), target_images=(1, 1, 1)).open()
    for split in labelled(opened).values():
        assert split.images.pixels.shape == (1, *size, 3)
        assert split.labels.shape == (1, *size)
        assert len(np.unique(all_of(split.labels))) > 5


# --- What is in it ---------------------------------------------------------------------------------------------------

SHARES = {
    "road": (0.25, 0.45),
    "sidewalk": (0.02, 0.12),
    "building": (0.12, 0.32),
    "wall": (0.003, 0.06),
    "fence": (0.003, 0.06),
    "pole": (0.004, 0.03),
    "traffic sign": (0.002, 0.02),
    "vegetation": (0.04, 0.16),
    "terrain": (0.002, 0.06),
    "sky": (0.05, 0.20),
    "person": (0.003, 0.04),
    "car": (0.03, 0.15),
    "bus": (0.001, 0.08),
}


@pytest.mark.parametrize("name", ["source/train", "target/adapt"])
def test_classes_have_the_shares_of_a_street(splits: Splits, name: str) -> None:
    truth = all_of(labelled(splits)[name].labels)
    shares = np.bincount(truth.ravel(), minlength=256) / truth.size
    outside = {
        label: round(float(shares[train_id(label)]), 4)
        for label, (least, most) in SHARES.items()
        if not least < shares[train_id(label)] < most
    }
    assert not outside
    assert shares[VOID] < 0.06
    expected = {train_id(label) for label in SHARES}
    assert len(expected) >= 11
    assert expected <= set(np.unique(truth).tolist()) <= expected | {VOID}


def test_classes_stand_where_a_street_has_them(splits: Splits) -> None:
    for split in labelled(splits).values():
        mean_row = {
            label: np.nonzero(all_of(split.labels) == train_id(label))[1].mean()
            for label in ("sky", "building", "road")
        }
        assert mean_row["sky"] < mean_row["building"] < mean_row["road"]


# --- How the domains differ ------------------------------------------------------------------------------------------


def laplacian(pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean over the channels of |4 centre - neighbours|, without the border."""
    neighbours = pixels[:, :-2, 1:-1] + pixels[:, 2:, 1:-1] + pixels[:, 1:-1, :-2] + pixels[:, 1:-1, 2:]
    return np.asarray(np.abs(4 * pixels[:, 1:-1, 1:-1] - neighbours).mean(-1))


def roughness(split: LabelledImages, label: str) -> float:
    """Median Laplacian where a pixel and its four neighbours belong to the class."""
    member = all_of(split.labels) == train_id(label)
    inner = (
        member[:, 1:-1, 1:-1] & member[:, :-2, 1:-1] & member[:, 2:, 1:-1] & member[:, 1:-1, :-2] & member[:, 1:-1, 2:]
    )
    return float(np.median(laplacian(all_of(split.images.pixels).astype(float))[inner]))


def sharpness(split: LabelledImages) -> float:
    """Share of the step from sky to building that happens between the two pixels where the label changes."""
    grey = all_of(split.images.pixels).mean(-1)
    edge = (all_of(split.labels)[:, 1:-2] == train_id("sky")) & (all_of(split.labels)[:, 2:-1] == train_id("building"))
    near = np.abs(grey[:, 2:-1] - grey[:, 1:-2])[edge].mean()
    wide = np.abs(grey[:, 3:] - grey[:, :-3])[edge].mean()
    return float(near / wide)


def test_low_frequencies_differ(splits: Splits) -> None:
    source = all_of(splits.source_train.images.pixels).astype(float)
    target = all_of(splits.target_adapt.pixels).astype(float)
    saturation = [(pixels.max(-1) - pixels.min(-1)).mean() for pixels in (source, target)]
    assert saturation[0] > 1.5 * saturation[1]
    cast = [pixels[..., 2].mean() / pixels[..., 0].mean() for pixels in (source, target)]
    assert cast[1] - cast[0] > 0.03
    assert source.mean() - target.mean() > 10


def test_high_frequencies_differ(splits: Splits) -> None:
    source, target = splits.source_train, splits.oracle.adapt
    assert roughness(target, "road") > 3 * roughness(source, "road")
    assert roughness(target, "sky") > 2 * roughness(source, "sky"), "the sensor's noise"
    assert sharpness(source) - sharpness(target) > 0.08, "the optics' blur"


def test_layouts_differ(splits: Splits) -> None:
    def share(split: LabelledImages, label: str) -> float:
        return float((all_of(split.labels) == train_id(label)).mean())

    def horizon(split: LabelledImages) -> float:
        """Mean row of the farthest road."""
        return float(np.mean([np.nonzero((truth == train_id("road")).any(1))[0][0] for truth in all_of(split.labels)]))

    source, target = splits.source_train, splits.oracle.adapt
    assert horizon(target) - horizon(source) > 1.0
    assert share(source, "road") - share(target, "road") > 0.02
    assert share(target, "vegetation") - share(source, "vegetation") > 0.01
    assert SOURCE.layout.camera_height[0] > TARGET.layout.camera_height[1]


def predict_after_training(split: LabelledImages, test: LabelledImages, steps: int = 300) -> float:
    """mIoU on `test`, over the classes it holds, of the smallest BiSeNet trained on `split`."""
    torch.manual_seed(1)
    random = np.random.default_rng(1)
    network = BiSeNet(width=0.25)
    optimiser = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9, weight_decay=1e-4)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 0.05 * (1 - step / steps) ** 0.9
        batch = labelled_batch(split, random.integers(0, len(split), 4).tolist())
        prediction = network(batch.images, auxiliary=True)
        loss = torch.stack(
            [
                functional.cross_entropy(
                    functional.interpolate(logits, SMALL.size, mode="bilinear"), batch.labels, ignore_index=VOID
                )
                for logits in (prediction.logits, *prediction.auxiliary)
            ]
        ).sum()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    network.eval()
    batch = labelled_batch(test, range(len(test)))
    with torch.no_grad():
        predicted = functional.interpolate(network(batch.images).logits, SMALL.size, mode="bilinear").argmax(1)
    ious = []
    for label in range(NUM_CLASSES):
        truth, claim = batch.labels == label, (predicted == label) & (batch.labels != VOID)
        if truth.any():
            ious.append(((truth & claim).sum() / (truth | claim).sum()).item())
    return float(np.mean(ious))


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.usefixtures("one_thread")
def test_target_labels_are_worth_fifteen_points_of_miou(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    opened = town().open()
    source_only = predict_after_training(opened.source_train, opened.oracle.test)
    supervised = predict_after_training(opened.oracle.adapt, opened.oracle.test)
    assert supervised - source_only > 0.15
    assert source_only > 0.10, "a source that teaches nothing about the target is no shift to adapt across"


# --- Determinism and the cache ---------------------------------------------------------------------------------------


def contents(splits: Splits) -> dict[str, tuple[bytes, bytes]]:
    return {
        name: (all_of(split.images.pixels).tobytes(), all_of(split.labels).tobytes())
        for name, split in labelled(splits).items()
    }


def test_the_seed_decides_the_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = Town(source_images=(2, 1), target_images=(2, 1, 1), seed=3)
    opened = []
    for folder, shift in (("a", few), ("b", few), ("c", dataclasses.replace(few, seed=4))):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / folder))
        opened.append(contents(shift.open()))
    assert opened[0] == opened[1]
    assert all(opened[0][name] != opened[2][name] for name in opened[0])


def test_asking_for_more_images_changes_none(splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fewer = dataclasses.replace(SMALL, source_images=(2, 1), target_images=(1, 2, 1)).open()
    for name, split in labelled(fewer).items():
        more = labelled(splits)[name]
        assert np.array_equal(all_of(split.images.pixels), all_of(more.images.pixels)[: len(split)])
        assert np.array_equal(all_of(split.labels), all_of(more.labels)[: len(split)])


OPEN_AND_SAY = """
from platform.shifts.town import Town
from platform.shifts.town.photograph import _tile
Town(source_images=(3, 1), target_images=(3, 1, 1)).open()
print("rendered" if _tile.cache_info().currsize else "mapped")
"""


def test_processes_that_open_at_once_render_once(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-c", OPEN_AND_SAY]
    processes = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = sorted(process.communicate(timeout=PATIENCE)[0].strip() for process in processes)
    assert said == ["mapped", "rendered"]
    assert len([entry for entry in (tmp_path / "domain-adaptation-platform").iterdir() if entry.is_dir()]) == 1


def test_the_second_open_maps_what_the_first_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    few = Town(source_images=(1, 1), target_images=(1, 1, 1))

    def stamps() -> dict[str, int]:
        few.open()
        return {path.name: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}

    first = stamps()
    assert len(first) == 10
    assert stamps() == first


# --- Identity and arguments ------------------------------------------------------------------------------------------


def test_identity_is_plain_json_and_tells_towns_apart() -> None:
    identity = SMALL.identity()
    assert json.loads(json.dumps(identity)) == identity
    assert identity["name"] == "town"
    assert identity["size"] == [64, 128]
    assert identity == Town(source_images=(24, 3), target_images=(24, 3, 4)).identity()
    others = ({"size": (64, 64)}, {"source_images": (24, 4)}, {"target_images": (24, 3, 5)}, {"seed": 1})
    for change in others:
        assert dataclasses.replace(SMALL, **change).identity() != identity


def test_identity_names_the_renderer_by_its_sources(tmp_path: Path) -> None:
    package = tmp_path / "platform"
    for folder in ("shifts/town", "shifts", ""):
        (package / folder).mkdir(parents=True, exist_ok=True)
        for file in (ROOT / "platform" / folder).glob("*.py"):
            (package / folder / file.name).write_bytes(file.read_bytes())
    # The tree's other shifts are no part of the renderer.
    (package / "shifts" / "__init__.py").write_text("")
    domains = package / "shifts" / "town" / "domains.py"
    command = [sys.executable, "-c", "from platform.shifts.town import town; print(town().identity()['renderer'])"]

    def renderer() -> str:
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip()

    assert renderer() == SMALL.identity()["renderer"]
    domains.write_text(domains.read_text().replace("gamma=(0.60, 0.75)", "gamma=(0.61, 0.75)"))
    assert renderer() != SMALL.identity()["renderer"]


def test_a_town_evaluates_what_it_draws_and_every_split_holds_all_of_it(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    drawn = {member for group in DRAWN for member in group}
    splits = town().open()
    oracle = splits.oracle
    for split in (splits.source_train, splits.source_val, oracle.adapt, oracle.val, oracle.test):
        assert set(np.unique(all_of(split.labels))) - {VOID} == drawn


def test_a_town_is_a_shift_that_needs_nothing() -> None:
    assert isinstance(town(), Shift)
    assert town() == Town()
    assert town().groups == DRAWN
    town().check()
    assert pickle.loads(pickle.dumps(SMALL)) == SMALL


def test_smoke_is_a_tiny_town_of_the_same_groups() -> None:
    smoke = town(size=(512, 1024), seed=7).smoke()
    assert isinstance(smoke, Town)
    assert smoke.groups == DRAWN
    assert smoke.seed == 7
    assert smoke.size == (64, 128)
    assert sum(smoke.source_images) + sum(smoke.target_images) < 50


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": (31, 64)}, r"size must be integers \(height, width\), each at least 32, got \(31, 64\)"),
        ({"size": (64,)}, "size must be"),
        ({"size": 64}, "size must be"),
        ({"size": (64.0, 128.0)}, "size must be"),
        ({"source_images": (0, 4)}, r"source_images must be integers \(train, val\), each at least 1"),
        ({"source_images": (4, 4, 4)}, "source_images must be"),
        ({"target_images": (4, 4)}, r"target_images must be integers \(adapt, val, test\), each at least 1"),
        ({"target_images": (4, True, 4)}, "target_images must be"),
        ({"seed": -1}, "seed must be an integer of at least 0, got -1"),
        ({"seed": "0"}, "seed must be"),
    ],
)
def test_arguments_are_refused_in_one_line(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        town(**arguments)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)


# --- Geometry --------------------------------------------------------------------------------------------------------
