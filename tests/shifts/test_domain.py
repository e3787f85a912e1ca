"""What a data set of one's own must be, and how it is told where it is not."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from platform.shifts import DataError, Domain, contents, image_of, labels_of
from platform.shifts.domain import example, known, names_of, require_domain
from platform.shifts.labels import VOID, train_id
from tests.support.small_domains import Folder, Invented, Spoilt, write


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_images_and_labels_come_as_they_were_read() -> None:
    domain = Invented("streets")
    for given, read in zip(example(domain, "train", "01"), domain.read("train", "01"), strict=True):
        assert read is not None
        np.testing.assert_array_equal(given, read)


WRONG: dict[str, tuple[Any, str]] = {
    "no pair": (lambda image, labels: image, r"must come as image and labels, got uint8 \(40, 60, 3\)"),
    "no labels": (lambda image, labels: (image, None), "must have labels, got None; only images that are adapted to"),
    "floats": (
        lambda image, labels: (image / 255, labels),
        r"must have pixels of uint8 in an array of shape \(height, width, 3\), got float64 \(40, 60, 3\); `image_of`",
    ),
    "a grey image": (lambda image, labels: (image[..., 0], labels), r"got uint8 \(40, 60\)"),
    "channels first": (lambda image, labels: (image.transpose(2, 0, 1), labels), r"got uint8 \(3, 40, 60\)"),
    "alpha": (lambda image, labels: (np.concatenate([image, image], 2), labels), r"got uint8 \(40, 60, 6\)"),
    "no array": (lambda image, labels: (image.tolist(), labels), "got list"),
    "no pixels": (lambda image, labels: (image[:0], labels[:0]), r"got uint8 \(0, 60, 3\)"),
    "labels in colours": (lambda image, labels: (image, image), r"must have labels of uint8 .*\(height, width\), got"),
    "labels of 64 bits": (lambda image, labels: (image, labels.astype(int)), r"got int64 \(40, 60\); `labels_of`"),
    "labels of another size": (
        lambda image, labels: (image, labels[::2]),
        "must have the size of its labels, height x width 20 x 60, got 40 x 60; replace one of the two",
    ),
    "label ids": (lambda image, labels: (image, labels * 0 + 26), "train ids from 0 to 18 as labels, or 255 for .*26"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_line_that_names_domain_split_and_image(name: str) -> None:
    change, message = WRONG[name]
    with pytest.raises(DataError, match=message) as refusal:
        example(Spoilt("streets", change=change), "train", "01")
    assert str(refusal.value).startswith("streets: image '01' of train must ")
    assert "\n" not in str(refusal.value)
    assert ";" in str(refusal.value), "the remedy"


def test_an_error_of_ones_own_code_says_where() -> None:
    def change(image: object, labels: object) -> object:
        raise KeyError("no\nsuch")

    with pytest.raises(DataError, match=r"^streets: image '01' of train: KeyError: .* at test_domain.py:\d+; mend it$"):
        example(Spoilt("streets", change=change), "train", "01")


def test_a_domain_that_exits_ends_no_process() -> None:
    def change(image: object, labels: object) -> object:
        raise SystemExit

    with pytest.raises(DataError, match=r"^streets: image '01' of train: SystemExit at test_domain.py:\d+; mend it$"):
        example(Spoilt("streets", change=change), "train", "01")


def test_an_identity_that_says_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edited files would else be the same data."""
    monkeypatch.setattr(Invented, "identity", lambda self: None)
    with pytest.raises(DataError, match=r"^streets: its identity must be a dictionary .*, got None; return \{"):
        known(Invented("streets"))


def test_images_that_are_adapted_to_may_go_without_labels() -> None:
    domain = Spoilt("streets", change=lambda image, labels: (image, None), where=("adapt", "01"))
    image, labels = example(domain, "adapt", "01")
    assert labels.shape == image.shape[:2]
    assert set(np.unique(labels)) == {VOID}


@dataclasses.dataclass(frozen=True)
class Named(Invented):
    given: Any = ()

    def names(self, split: str) -> Sequence[str]:
        return list(self.given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((), "streets: val must hold at least one image, got none; see `names` of Named, and its folder"),
        (("a", "b", "a"), "streets: the names of val must differ, got 'a' twice"),
        (("a", 3), "streets: the names of val must be texts, got 3"),
        (None, "streets: the names of val: TypeError: 'NoneType' object is not iterable"),
    ],
)
def test_names_tell_images_apart(given: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        names_of(Named("streets", given=given), "val")


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        (Invented, r"pair must be given a Domain, got <class .*Invented'>; call it: Invented\(\.\.\.\)"),
        ("streets", "pair must be given a Domain, got 'streets'"),
        (Invented(""), "a domain's name must be printable, without / and blanks around it, got ''"),
        (Invented("a/b"), "got 'a/b'; rename it"),
        (Invented("a\nb"), r"got 'a\\nb'"),
        (Invented("x" * 61), "at most 60 characters, got 61; shorten it"),
    ],
)
def test_what_is_no_domain_is_refused_where_the_study_is_loaded(domain: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        require_domain("pair", domain)


def test_a_domain_without_its_parts_cannot_be_made() -> None:
    class Half(Domain):
        def names(self, split: str) -> Sequence[str]:
            return ["a"]

    with pytest.raises(TypeError, match="abstract method"):
        Half("half")  # type: ignore[abstract]


def test_an_identity_is_json_as_it_comes_back() -> None:
    identity = known(Invented("streets"))
    assert identity == {"name": "streets", "identity": {"size": [40, 60], "number": 3, "seed": 0}}
    assert json.loads(json.dumps(identity)) == identity


def test_an_identity_of_other_values_is_refused() -> None:
    class Placed(Invented):
        def identity(self) -> dict[str, Any]:
            return {"root": Path("there")}

    with pytest.raises(DataError, match=r"streets: its identity must be of JSON values, got .*PosixPath"):
        known(Placed("streets"))


def test_a_folder_is_known_by_what_its_files_hold_and_are_called(tmp_path: Path) -> None:
    for place in ("one", "other"):
        write(tmp_path / place, Invented("streets"), ["train"])
    first = contents(tmp_path / "one")
    assert first is not None
    assert contents(tmp_path / "other") == first, "wherever it lies"
    (tmp_path / "one/.DS_Store").write_bytes(b"left")
    assert contents(tmp_path / "one") == first, "leftovers of other programs are none of it"
    image = tmp_path / "other/train/images/00.png"
    image.rename(image.with_name("09.png"))
    renamed = contents(tmp_path / "other")
    (tmp_path / "one/train/images/00.png").write_bytes(b"edited")
    assert len({first, renamed, contents(tmp_path / "one")}) == 3
    assert contents(tmp_path / "absent") is None, "a plan needs no data"


def test_a_folder_of_png_files_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = Invented("streets")
    write(tmp_path, written, ["train"])
    domain = Folder("streets", tmp_path)
    assert domain.names("train") == written.names("train")
    for read, original in zip(domain.read("train", "02"), written.read("train", "02"), strict=True):
        assert read is not None
        assert original is not None
        np.testing.assert_array_equal(read, original)
    assert image_of(tmp_path / "train/images/02.png").dtype == np.uint8


def test_ids_of_files_are_translated_by_a_table_of_class_names(tmp_path: Path) -> None:
    domain = Invented("streets")
    write(tmp_path, domain, ["train"])
    held = domain.read("train", "00")[1]
    assert held is not None
    read = labels_of(tmp_path / "train/labels/00.png", {0: "sky", 7: "car"})
    assert set(np.unique(read[held == 0])) <= {train_id("sky")}
    assert set(np.unique(read[held == 7])) <= {train_id("car")}
    assert set(np.unique(read[(held != 0) & (held != 7)])) == {VOID}
    with pytest.raises(ValueError, match=r"'lorry' is not a class. The classes are: road, "):
        labels_of(tmp_path / "train/labels/00.png", {0: "lorry"})


def test_a_file_that_cannot_be_read_is_named_with_its_domain_and_image(tmp_path: Path) -> None:
    write(tmp_path, Invented("streets"), ["train"])
    broken = tmp_path / "train/labels/01.png"
    broken.write_bytes(broken.read_bytes()[:40])
    with pytest.raises(DataError, match=f"^streets: image '01' of train: {broken} cannot be read: "):
        example(Folder("streets", tmp_path), "train", "01")
