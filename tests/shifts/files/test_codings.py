"""A whole split tells which ids it holds; a few made-up images do not."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from platform.records.provenance import ROOT
from platform.shifts.files.codings import LABEL_IDS, OTHERS, SHARES, TRAIN_IDS, Coding, Spread
from platform.shifts.files.label_images import read_ids
from platform.shifts.labels import CLASSES, NAMES

Counts = npt.NDArray[np.int64]


def refuse_another_coding(place: Path, pixels: Counts, expected: Coding, remedy: str) -> None:
    """A folder of one file."""
    spread = Spread(place, expected)
    spread.add(place / "a.png", pixels)
    spread.check(lambda coding: remedy, pytest.fail)


NAMED = {coding.name: coding for coding in (TRAIN_IDS, *OTHERS)}


def streets(coding: Coding) -> Counts:
    """Pixels of streets as they are, in a coding's ids: roads wide, riders rare, a tenth of no evaluated class."""
    pixels = np.zeros(256, np.int64)
    for id_, name in enumerate(coding.classes):
        pixels[id_] = round(1e6 * SHARES.get(name, 0.01) / max(1, coding.classes.count(name)))
    return pixels


def alike(ids: range | list[int]) -> Counts:
    pixels = np.zeros(256, np.int64)
    pixels[list(ids)] = 1000
    return pixels


@pytest.mark.parametrize("name", NAMED)
def test_another_coding_in_the_place_of_label_ids_is_refused_by_name(name: str) -> None:
    rule = rf"gt must hold Cityscapes label ids \(road is 7\), got ids that are spread like {name} \(road is \d+\)"
    with pytest.raises(ValueError, match=rf"{rule}, \d+% of the pixels without an evaluated class; do this"):
        refuse_another_coding(Path("gt"), streets(NAMED[name]), LABEL_IDS, "do this")


REAL = ROOT.parent / "shared" / "data"


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the photographs and rendered streets of ../shared/data")
@pytest.mark.parametrize("folder", ["source/labels", "target/train/labels", "target/val/labels"])
def test_of_real_labels_those_of_another_coding_are_refused_and_label_ids_pass(folder: str) -> None:
    files = sorted((REAL / folder).glob("*.png"))
    train_ids = np.sum([np.bincount(read_ids(file).ravel(), minlength=256) for file in files], axis=0)
    for coding in (LABEL_IDS, *NAMED.values()):
        pixels = np.zeros(256, np.int64)
        for id_, name in enumerate(coding.classes):
            if name in NAMES and name not in coding.classes[:id_]:
                pixels[id_] = train_ids[NAMES.index(name)]
        if coding is LABEL_IDS:
            refuse_another_coding(Path("gt"), pixels, LABEL_IDS, "")
        else:
            with pytest.raises(ValueError, match="must hold Cityscapes label ids"):
                refuse_another_coding(Path("gt"), pixels, LABEL_IDS, "")


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the photographs and rendered streets of ../shared/data")
@pytest.mark.parametrize("folder", ["source/labels", "target/train/labels", "target/val/labels"])
def test_real_train_ids_pass_file_by_file_and_camvids_are_refused(folder: str) -> None:
    files = [np.bincount(read_ids(file).ravel(), minlength=256) for file in sorted((REAL / folder).glob("*.png"))]
    for pixels in (*files, np.sum(files, axis=0)):
        refuse_another_coding(Path("gt"), pixels, TRAIN_IDS, "")
    of_camvid = np.zeros(256, np.int64)
    for id_, name in enumerate(NAMED["CamVid's 11 ids"].classes):
        of_camvid[id_] = np.sum(files, axis=0)[NAMES.index(name)] if name in NAMES else 0
    with pytest.raises(ValueError, match="spread like CamVid's 11 ids"):
        refuse_another_coding(Path("gt"), of_camvid, TRAIN_IDS, "")


def test_label_ids_in_the_place_of_train_ids_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"must hold Cityscapes train ids \(road is 0\), got .* like Cityscapes label ids"
    ):
        refuse_another_coding(Path("gt"), streets(LABEL_IDS), TRAIN_IDS, "")


@pytest.mark.parametrize(
    "ids", [range(19), range(26), range(12), range(23), [0, 1, 2, 8, 10, 13]], ids=["19", "26", "12", "23", "six"]
)
def test_made_up_images_of_another_codings_ids_are_refused(ids: range | list[int]) -> None:
    with pytest.raises(ValueError, match="must hold Cityscapes label ids"):
        refuse_another_coding(Path("gt"), alike(ids), LABEL_IDS, "")


def coarse() -> Counts:
    """Streets of which nobody annotated most."""
    pixels = streets(LABEL_IDS)
    pixels[0] += 3 * pixels.sum()
    return pixels


def behind_a_bonnet() -> Counts:
    pixels = streets(LABEL_IDS)
    pixels[1:4] += pixels.sum() // 4
    return pixels


LABELS: dict[str, Counts] = {
    "streets": streets(LABEL_IDS),
    "coarse": coarse(),
    "behind a bonnet": behind_a_bonnet(),
    "evaluated ids alike": alike([entry.label_id for entry in CLASSES]),
    "all ids alike": alike(range(34)),
    "two colours": alike([0, 8]),
    "three colours": alike([4, 11, 23]),
    "one": alike([0]),
    "void": alike([255]),
    "nothing": np.zeros(256, np.int64),
}


@pytest.mark.parametrize("case", LABELS)
def test_label_ids_pass(case: str) -> None:
    refuse_another_coding(Path("gt"), LABELS[case], LABEL_IDS, "")


@pytest.mark.parametrize("seed", range(20))
def test_a_few_pixels_of_any_label_ids_are_no_evidence(seed: int) -> None:
    ids = np.random.default_rng(seed).integers(0, 34, 64)
    refuse_another_coding(Path("gt"), np.bincount(ids, minlength=256), LABEL_IDS, "")


def collapsed() -> Counts:
    pixels = np.zeros(256, np.int64)
    pixels[[2, 10, 8, 7, 4, 11, 5, 13]] = 5000, 2000, 2000, 900, 500, 100, 50, 40
    return pixels


TRUTHS = {
    "streets": streets(TRAIN_IDS),
    **{f"{number} ids alike": alike(range(number)) for number in (1, 6, 8, 11, 12, 13, 16, 19)},
}


@pytest.mark.parametrize("case", TRUTHS)
def test_train_ids_pass(case: str) -> None:
    refuse_another_coding(Path("gt"), TRUTHS[case], TRAIN_IDS, "")


@pytest.mark.parametrize("name", ["CamVid's 11 ids", "SYNTHIA's ids"])
def test_ids_in_the_range_of_train_ids_are_told_by_what_streets_look_like(name: str) -> None:
    pixels = streets(NAMED[name])
    pixels[19:] = 0
    with pytest.raises(ValueError, match=rf"must hold Cityscapes train ids .* spread like {name} \(road is \d\); "):
        refuse_another_coding(Path("gt"), pixels, TRAIN_IDS, "")


@pytest.mark.parametrize("pixels", [streets(NAMED["CamVid's 11 ids"]), collapsed(), alike(range(8))])
def test_predictions_may_be_spread_over_train_ids_in_any_way(pixels: Counts) -> None:
    pixels[11:] = 0
    spread = Spread(Path("predictions"), TRAIN_IDS, predicted=True)
    spread.add(Path("predictions/a.png"), pixels)
    spread.check(lambda coding: "", pytest.fail)


def test_predictions_of_other_ids_than_train_ids_are_refused() -> None:
    spread = Spread(Path("predictions"), TRAIN_IDS, predicted=True)
    spread.add(Path("predictions/a.png"), streets(LABEL_IDS))
    with pytest.raises(ValueError, match="spread like Cityscapes label ids"):
        spread.check(lambda coding: "", pytest.fail)


@pytest.mark.parametrize("coding", [LABEL_IDS, *NAMED.values()], ids=lambda coding: coding.name)
def test_a_likelihood_is_a_distribution_that_leaves_nothing_out(coding: Coding) -> None:
    likelihood = coding.likelihood
    assert likelihood.sum() == pytest.approx(1, abs=1e-4)
    assert (likelihood > 0).all()
    assert set(coding.classes) & set(SHARES), "classes are those of the table"


def garage() -> Counts:
    """A frame without a street: walls, pillars, shadows."""
    pixels = np.zeros(256, np.int64)
    pixels[[6, 4, 5, 26, 17, 24]] = 40_000, 30_000, 8_000, 10_000, 7_000, 5_000
    return pixels


def test_a_few_files_of_another_spread_are_said_and_many_are_refused() -> None:
    said: list[str] = []
    for odd, refused in ((1, False), (2, False), (3, True)):
        spread = Spread(Path("gt"), LABEL_IDS)
        for number in range(20):
            spread.add(Path(f"gt/{number}.png"), garage() if number in range(5, 5 + odd) else streets(LABEL_IDS))
        if refused:
            with pytest.raises(ValueError, match=r"^gt/5\.png must hold .* class, as have 2 more beside it; do this$"):
                spread.check(lambda coding: "do this", said.append)
        else:
            spread.check(lambda coding: "do this", said.append)
    (one, two) = said
    assert one.startswith("gt/5.png should hold Cityscapes label ids (road is 7), got ids that are spread like ")
    assert "as have 1 more beside it: see whether" in two
