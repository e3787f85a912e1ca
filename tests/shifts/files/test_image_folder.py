"""Images of a folder that stand in for a split's: which file is whose, and how they come to the cache."""

import logging
import shutil
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from platform.shifts.cache import discard
from platform.shifts.files import image_folder
from platform.shifts.files.image_folder import digest_of, images_of, placed
from platform.shifts.shift import DATA_VARIABLE, Arrays, CacheDamaged, DataError, cache_folder
from tests.support.arrays import all_of

SIZE = (32, 64)
NAMES = ("00001", "00002", "00010")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def written(folder: Path, names: Sequence[str], size: tuple[int, int] = SIZE, seed: int = 0) -> list[np.ndarray]:
    """Files of noise, by their paths below a folder."""
    random, images = np.random.default_rng(seed), []
    for name in names:
        images.append(random.integers(0, 256, (*size, 3), np.uint8))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[-1]).save(folder / name)
    return images


def opened(folder: Path, names: Sequence[str] = NAMES, size: tuple[int, int] = SIZE) -> Arrays:
    return images_of(folder, digest_of(folder), names, size)


def refusal(folder: Path, names: Sequence[str] = NAMES) -> str:
    with pytest.raises(DataError) as refused:
        opened(folder, names)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("names", "files"),
    [
        (NAMES, ["00001.png", "00002.png", "00010.png"]),
        (NAMES, ["a/00001.png", "a/00002.png", "b/00010.png"]),
        (["train/game/1", "train/game/2"], ["1.png", "2.png"]),
        (["x/1.PNG", "x/2.jpg"], ["1.png", "2.png"]),
        (["a.b", "a.c"], ["a.b.png", "a.c.png"]),
        (["ulm/1", "bonn/1"], ["ulm/1.png", "bonn/1.png"]),
        ([unicodedata.normalize("NFD", "é")], [unicodedata.normalize("NFC", "é.png")]),
    ],
    ids=["plain", "in folders", "names in folders", "with endings", "dots", "of one name in folders", "accents"],
)
def test_a_name_finds_its_file(names: Sequence[str], files: Sequence[str], tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    images = written(folder, files)
    written(folder, [f"other{Path(files[0]).suffix}"], seed=1)
    assert np.array_equal(all_of(opened(folder, names)), images)
    assert np.array_equal(all_of(opened(folder, names[::-1])), images[::-1])


def test_images_are_resized_by_what_a_pixel_covers(tmp_path: Path) -> None:
    """Each pixel of the file counts the less, the farther it lies from the middle of the one that it goes into."""
    (large,) = written(tmp_path / "a", ["1.png"], size=(96, 160))

    def shares(small: int, number: int) -> np.ndarray:
        scale = number / small
        middles, pixels = (np.arange(small) + 0.5) * scale, np.arange(number) + 0.5
        triangle = np.maximum(0, 1 - np.abs(pixels - middles[:, None]) / scale)
        result: np.ndarray = triangle / triangle.sum(1, keepdims=True)
        return result

    expected = np.einsum("ih,jw,hwc->ijc", shares(32, 96), shares(64, 160), large)
    np.testing.assert_allclose(all_of(opened(tmp_path / "a", ["1"]))[0], expected, atol=1.1)


@pytest.mark.parametrize(("number", "said"), [(1, "00010"), (4, "00010, 3, 4 and 1 more")])
def test_files_that_are_missing_are_named(number: int, said: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    written(folder, ["00001.png", "00002.png"])
    told = refusal(folder, [*NAMES, "3", "4", "5"][: 2 + number])
    assert f"each of the source's {2 + number}, got none for {said}: {folder} holds 00001.png, 00002.png;" in told


def test_a_file_that_was_cut_out_of_its_image_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    written(folder, ["00001.png", "00002.png"])
    written(folder, ["00010.png"], size=(32, 32))
    assert f"{folder}/00010.png must be a whole image of the source, about as wide as 64 x 32, got 32 x 32" in refusal(
        folder
    )


@pytest.mark.parametrize("size", [(1052, 1914), (760, 1280), (720, 1280), (512, 1024)])
def test_whole_images_of_common_data_sets_are_taken(size: tuple[int, int], tmp_path: Path) -> None:
    written(tmp_path / "folder", ["1.jpg"], size=size)
    assert opened(tmp_path / "folder", ["1"]).shape == (1, *SIZE, 3)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    written(folder, [f"{name}.png" for name in NAMES])
    whole = (folder / "00002.png").read_bytes()
    (folder / "00002.png").write_bytes(whole[: len(whole) // 2])
    assert refusal(folder).startswith(f"{folder}/00002.png cannot be read")
    assert not [path for path in cache_folder().iterdir() if path.is_dir()]


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    written(folder, [*(f"{name}.png" for name in NAMES), "00001.jpg"])
    assert "have the same name, '00001'; keep one of them" in refusal(folder)


def test_images_are_decoded_once_and_for_each_size_and_order(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    images = written(folder, [f"{name}.png" for name in NAMES])
    digest = digest_of(folder)
    assert opened(folder, size=(16, 32)).shape == (3, 16, 32, 3)
    assert np.array_equal(all_of(opened(folder)), images)
    shutil.rmtree(folder)
    assert np.array_equal(all_of(images_of(folder, digest, NAMES, SIZE)), images)


def test_other_files_than_those_of_the_plan_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    written(folder, [f"{name}.png" for name in NAMES])
    planned = digest_of(folder)
    written(folder, ["00001.png"], seed=5)
    with pytest.raises(DataError, match="are not those that this study was planned with"):
        images_of(folder, planned, NAMES, SIZE)


def test_a_digest_is_the_contents_wherever_they_lie(tmp_path: Path) -> None:
    written(tmp_path / "one", ["1.png"])
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    written(tmp_path / "three", ["1.png"], seed=1)
    assert digest_of(tmp_path / "one") == digest_of(tmp_path / "two") != digest_of(tmp_path / "three")


def test_a_folder_that_is_not_there_is_refused_until_it_is(tmp_path: Path) -> None:
    written(tmp_path / "pictures", ["1.png"])
    with pytest.raises(DataError) as refused:
        digest_of(tmp_path / "picture")
    assert str(refused.value) == (
        f"a folder of translated images must be there, and hold them, got {tmp_path}/picture: {tmp_path} holds "
        "pictures; bring it, or name another"
    )
    (tmp_path / "picture").mkdir()
    (tmp_path / "picture/notes.txt").write_text("soon", encoding="utf-8")
    with pytest.raises(DataError, match=r"and hold them, got .*/picture: .*/picture holds notes\.txt; bring it"):
        digest_of(tmp_path / "picture")
    written(tmp_path / "picture", ["1.png"])
    assert digest_of(tmp_path / "picture")


def test_a_cache_whose_description_is_damaged_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "folder"
    images = written(folder, [f"{name}.png" for name in NAMES])
    opened(folder)
    (description,) = cache_folder().glob("*/*.json")
    description.write_text("{}")
    with caplog.at_level(logging.WARNING, image_folder.__name__):
        assert np.array_equal(all_of(opened(folder)), images)
    assert "is damaged" in caplog.text


def test_an_image_that_is_damaged_in_the_cache_is_decoded_again(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    images = written(folder, [f"{name}.png" for name in NAMES])
    arrays = opened(folder)
    (file,) = cache_folder().glob("*/*.npy")
    with file.open("r+b") as there:
        there.seek(-1, 2)
        there.write(bytes([images[-1].flat[-1] ^ 1]))
    arrays[[0, 1]]
    with pytest.raises(CacheDamaged) as damaged:
        arrays[[2]]
    told: list[str] = []
    discard(damaged.value, told.append)
    assert len(told) == 1
    assert np.array_equal(all_of(opened(folder)), images)
    discard(damaged.value, told.append)
    assert len(told) == 1, "another process has decoded it again meanwhile"


def test_a_folder_that_is_no_full_path_lies_with_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert placed("cyclegan/images") == tmp_path / "cyclegan/images"
    assert placed("/other/images") == Path("/other/images")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert placed("~/images") == Path("/home/somebody/images")
    monkeypatch.delenv(DATA_VARIABLE)
    assert placed("/other/images") == Path("/other/images")
    with pytest.raises(DataError, match="must be a full path, or lie in the folder of the data sets, got 'images'"):
        placed("images")
