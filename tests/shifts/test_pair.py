"""Two domains as a shift: what is decoded, what decides it, and what is refused."""

import dataclasses
import hashlib
import importlib.util
import json
import linecache
import logging
import pickle
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from platform.shifts import CAMVID_11, DataError, Domain, Shift, groups, pair, town, union
from platform.shifts.labels import VOID
from platform.shifts.pair import Pair
from platform.shifts.shift import cache_folder
from tests.support.arrays import all_of
from tests.support.small_domains import Folder, Invented, Spoilt, write

SIZE = (32, 64)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def made(source: Domain | None = None, target: Domain | None = None, **values: Any) -> Pair:
    return pair(source or Invented("game"), target or Invented("photographs", seed=1), **{"size": SIZE, **values})


def test_images_are_resized_smoothly_and_labels_to_the_nearest_pixel() -> None:
    domain = Invented("game")
    split = made(domain).open().source_train
    for position, name in enumerate(domain.names("train")):
        image, labels = domain.read("train", name)
        assert labels is not None
        smooth = np.asarray(Image.fromarray(image).resize(SIZE[::-1], Image.Resampling.BILINEAR))
        nearest = np.asarray(Image.fromarray(labels).resize(SIZE[::-1], Image.Resampling.NEAREST))
        np.testing.assert_array_equal(split.images.pixels[[position]][0], smooth)
        np.testing.assert_array_equal(split.labels[[position]][0], nearest)
    assert split.images.names == ("train/00", "train/01", "train/02")
    assert split.domains == ()


def test_test_labels_keep_their_own_resolution() -> None:
    target = Invented("photographs", size=(48, 80))
    splits = made(target=target).open()
    assert splits.oracle.val.labels.shape[1:] == SIZE
    np.testing.assert_array_equal(splits.oracle.test.labels[[1]][0], target.read("test", "01")[1])


def test_test_labels_of_two_resolutions_are_refused() -> None:
    target = Spoilt("photographs", change=lambda image, labels: (image[:20], labels[:20]), where=("test", "02"))
    message = (
        "photographs: image '02' of test must have the resolution of the split's first, height x width 40 x 60, "
        "got 20 x 60; resize the labels"
    )
    with pytest.raises(DataError, match=message):
        made(target=target).open()


@pytest.mark.parametrize("split", ["train", "val"])
def test_images_of_other_splits_may_have_any_resolution(split: str) -> None:
    source = Spoilt("game", change=lambda image, labels: (image[:20], labels[:20]), where=(split, "01"))
    assert made(source).open().source_train.images.pixels.shape == (3, *SIZE, 3)


def test_an_image_that_is_wrong_is_named_and_leaves_no_data_behind() -> None:
    source = Spoilt("game", change=lambda image, labels: (image, labels * 0 + 19))
    with pytest.raises(DataError, match="game: image '01' of train must have train ids"):
        made(source).open()
    assert [path.suffix for path in cache_folder().iterdir()] == [".lock"]


@dataclasses.dataclass(frozen=True)
class Unlabelled(Invented):
    def read(self, split: str, name: str) -> Any:
        image, labels = super().read(split, name)
        return image, None if split == "adapt" else labels


def test_a_target_may_have_no_labels_for_what_is_adapted_to() -> None:
    splits = made(target=Unlabelled("photographs")).open()
    assert len(splits.target_adapt) == 3
    assert set(np.unique(all_of(splits.oracle.adapt.labels))) == {VOID}


@pytest.mark.parametrize("split", ["train", "val"])
def test_other_labels_must_hold_two_classes(split: str) -> None:
    class Blank(Invented):
        def read(self, of: str, name: str) -> Any:
            image, labels = super().read(of, name)
            assert labels is not None
            return image, labels * 0 if of == split else labels

    with pytest.raises(DataError, match=f"^game: the labels of source.{split} must hold two evaluated classes or more"):
        made(Blank("game")).open()


def test_few_labels_are_granted_and_named_in_the_identity_only_where_there_are_any() -> None:
    without, granting = made(), made(few=2)
    assert without.open().few is None
    few = granting.open().few
    assert few is not None
    assert few.images.names == ("adapt/00", "adapt/01")
    assert granting.few == 2
    assert granting.identity() == without.identity() | {"few": 2}
    assert "few" not in without.identity()
    assert len([path for path in cache_folder().iterdir() if path.is_dir()]) == 1, "labels are the same files"


@pytest.mark.parametrize("few", [-1, 1.5, True, "two"])
def test_few_is_a_whole_number(few: Any) -> None:
    with pytest.raises(ValueError, match=r"few, .*, must be a whole number of at least 0, got .*; 0 grants none"):
        made(few=few)


def test_few_is_no_more_than_what_is_adapted_to() -> None:
    for ask in (Pair.check, Pair.open):
        with pytest.raises(DataError, match=r"photographs: few, .* at most the 3 images that are adapted to, got 4"):
            ask(made(few=4))


def test_an_identity_is_json_and_changes_with_both_domains() -> None:
    identity = made().identity()
    assert json.loads(json.dumps(identity)) == identity
    assert identity["name"] == "game to photographs"
    for other in (
        made(Invented("game", seed=5)),
        made(target=Invented("photographs", seed=5)),
        made(size=(64, 64)),
        made(groups=CAMVID_11),
        made(few=1),
    ):
        assert other.identity() != identity


OWN = '''
"""A domain of one's own."""
from tests.support.small_domains import Invented

BRIGHTER = 1


class Own(Invented):
    def read(self, split, name):
        """Brighter."""
        image, labels = super().read(split, name)
        return image // 2 + BRIGHTER, labels


SEEDS = 3
'''


def own(folder: Path, text: str) -> Domain:
    path = folder / "own.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("own", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["own"] = module
    exec(compile(text, str(path), "exec"), vars(module))
    domain: Domain = module.Own("own")
    return domain


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("SEEDS = 3", "SEEDS = 5", True),
        ('"""Brighter."""', '"""Another word."""', True),
        ("image // 2", "image // 4", False),
        ("BRIGHTER = 1", "BRIGHTER = 2", False),
    ],
)
def test_the_code_of_a_domain_decides_what_is_decoded(before: str, after: str, same: bool, tmp_path: Path) -> None:
    try:
        first = made(own(tmp_path, OWN))
        identity, pixels = first.identity(), all_of(first.open().source_train.images.pixels)
        linecache.clearcache()
        second = made(own(tmp_path, OWN.replace(before, after)))
        assert (second.identity() == identity) is same
        assert np.array_equal(all_of(second.open().source_train.images.pixels), pixels) is same
    finally:
        del sys.modules["own"]


def test_a_pair_on_a_worker_needs_no_source_of_its_domains(tmp_path: Path) -> None:
    try:
        shift = made(own(tmp_path, OWN))
        identity = shift.identity()
        sent = pickle.dumps(shift)
        (tmp_path / "own.py").unlink()
        arrived: Shift = pickle.loads(sent)
        assert arrived.identity() == identity
        assert len(arrived.open().source_train) == 3
    finally:
        del sys.modules["own"]


def test_data_that_changed_since_the_plan_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "game", Invented("game"), ["train", "val"])
    shift = made(Folder("game", tmp_path / "game"))
    shift.identity()
    (tmp_path / "game/train/images/01.png").write_bytes((tmp_path / "game/train/images/00.png").read_bytes())
    with pytest.raises(DataError, match="the data of game to photographs are not those that this study was planned"):
        shift.open()


def test_a_plan_needs_no_data_and_a_run_says_what_is_missing(tmp_path: Path) -> None:
    shift = made(Folder("game", tmp_path / "game"))
    assert json.dumps(shift.identity())
    for ask in (Pair.check, Pair.open):
        with pytest.raises(DataError, match="game: train must hold at least one image, got none"):
            ask(shift)


def test_smoke_is_a_tiny_town_or_the_pair_itself_where_its_domains_are_small() -> None:
    class Small(Invented):
        small = True

    assert made(groups=CAMVID_11, few=20).smoke() == dataclasses.replace(town().smoke(), groups=CAMVID_11, few=12)
    assert made(groups=groups("rider", "train")).smoke() == town().smoke()
    assert made(Small("game"), groups=town().groups).smoke() == town().smoke()
    shift = made(Small("game"), Small("photographs"))
    assert shift.smoke() is shift


def test_images_that_are_tested_on_and_adapted_to_are_said(caplog: pytest.LogCaptureFixture) -> None:
    class Leaking(Invented):
        def read(self, split: str, name: str) -> Any:
            return super().read("adapt" if split == "test" else split, name)

    with caplog.at_level(logging.WARNING):
        made(target=Leaking("photographs")).open()
    assert "photographs: images of test that are in adapt or val as well" in caplog.text
    assert "(3)" in caplog.text


def test_labels_that_look_like_another_coding_are_said_and_taken(caplog: pytest.LogCaptureFixture) -> None:
    class Cam(Invented):
        """CamVid's 11 ids, as if they were train ids."""

        def read(self, split: str, name: str) -> Any:
            image, _ = super().read(split, name)
            shares = (0.16, 0.23, 0.01, 0.32, 0.05, 0.1, 0.01, 0.01, 0.07, 0.01, 0.03)
            ids = np.random.default_rng(int(name)).choice(11, self.size, p=shares)
            return image, ids.astype(np.uint8)

    with caplog.at_level(logging.WARNING):
        made(Cam("camvid", number=2)).open()
    assert "camvid must hold Cityscapes train ids (road is 0), got ids that are spread like CamVid's 11" in caplog.text


def test_only_what_a_pair_is_made_of_is_taken() -> None:
    with pytest.raises(ValueError, match="pair: target must be given a Domain, got <class"):
        pair(Invented("game"), Invented, SIZE)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="source and target must differ by name, got 'game' for both; rename one"):
        pair(Invented("game"), Invented("game", seed=1), SIZE)
    with pytest.raises(ValueError, match="pair: size must be height and width in pixels, got 512"):
        pair(Invented("game"), Invented("photographs"), 512)  # type: ignore[arg-type]
    theirs: Any = tuple(np.array(SIZE))
    assert pair(Invented("game"), Invented("photographs", seed=1), theirs).identity() == made().identity()


def test_the_digests_of_a_pair_stay_as_they_are() -> None:
    """A change here decodes everybody's data again."""
    shift = made()
    shift.open()
    entries = [path.name for path in cache_folder().iterdir() if path.is_dir()]
    known = {key: value for key, value in shift.identity().items() if key in ("source", "target", "decoding")}
    assert set(shift.identity()) == {"name", "size", "groups", "source", "target", "code", "decoding"}
    known["code"] = shift.identity()["code"]
    text = json.dumps([list(SIZE), known, 4], sort_keys=True)
    assert entries == [f"pair-{hashlib.sha256(text.encode()).hexdigest()[:16]}"]


def test_licences_are_said_by_domain_and_decide_nothing() -> None:
    said, silent = made(licences={"photographs": "CC BY 4.0"}), made()
    assert (dict(said.licences), dict(silent.licences)) == ({"photographs": "CC BY 4.0"}, {})
    assert said.identity() == silent.identity()
    assert said == silent
    assert pickle.loads(pickle.dumps(said)).licences == said.licences
    both = made(union(Invented("game"), Invented("renderings", seed=2)), licences={"renderings": "MIT"})
    assert both.licences == {"renderings": "MIT"}
    assert town().licences == {}


@pytest.mark.parametrize(
    ("licences", "said"),
    [
        ({"photos": "MIT"}, "licences must name its domains, game, photographs, got 'photos'; rename it"),
        ({"game": ""}, "licences must be texts by domain, got {'game': ''}; write licences={'game': 'CC BY 4.0'}"),
        ("MIT", "licences must be texts by domain, got 'MIT'; write licences={'game': 'CC BY 4.0'}"),
    ],
)
def test_licences_are_texts_of_its_domains(licences: Any, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"pair: {said}")):
        made(licences=licences)
