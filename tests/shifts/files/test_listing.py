"""What counts as data in a folder as people have it: links, leftovers, any case, any name."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from platform.shifts.files.listing import LeftOut, Listing, TooFew, contents, found, listed


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def list_(folder: Path) -> Listing:
    return listed(folder, ("png",), lambda name: LeftOut("called other") if name.endswith("other") else name)


def test_files_of_all_folders_are_named_by_their_paths_without_the_ending(tmp_path: Path) -> None:
    make(
        tmp_path, "a.png", "ulm/b.PNG", "ulm/deeper/c.d.png", "ulm/notes.txt", "Thumbs.db", "e.png.part", "x.png.aria2"
    )
    assert list(list_(tmp_path).files) == ["a", "ulm/b", "ulm/deeper/c.d"]


def test_what_is_none_of_the_data_is_counted_by_what_it_is(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "another.png", "b/other.png")
    said: list[str] = []
    listing = list_(tmp_path)
    listing.tell(said.append)
    assert list(listing.files) == ["a"]
    assert said == [f"{tmp_path}: left out called other (2)"]


@pytest.mark.parametrize(
    "leftover",
    [
        "._a.png",
        ".nfs0000000002273a94.png",
        ".ipynb_checkpoints/a-checkpoint.png",
        "__MACOSX/a.png",
        "__MACOSX/ulm/._a.png",
        "@eaDir/a.png/SYNOPHOTO_THUMB_M.png",
        "#recycle/a.png",
        "lost+found/a.png",
        "ulm/.git/deeper/a.png",
    ],
)
def test_leftovers_of_other_programs_are_no_data_and_said(tmp_path: Path, leftover: str) -> None:
    make(tmp_path, "a.png", leftover)
    said: list[str] = []
    listing = list_(tmp_path)
    listing.tell(said.append)
    assert list(listing.files) == ["a"]
    assert said == [f"{tmp_path}: left out hidden files (1)"]


def test_of_files_that_are_nobodys_data_nothing_is_said(tmp_path: Path) -> None:
    make(tmp_path, "a.png", ".DS_Store", "Thumbs.db", "sample_class_stats.json", "README", "ulm/license.txt")
    listing = list_(tmp_path)
    listing.tell(lambda line: pytest.fail(line))
    assert list(listing.files) == ["a"]


def test_a_folder_whose_own_path_is_hidden_is_data(tmp_path: Path) -> None:
    make(tmp_path, ".cache/set/a.png")
    assert list(list_(tmp_path / ".cache/set").files) == ["a"]


def test_links_to_folders_and_files_are_followed_however_many_lead_to_one(tmp_path: Path) -> None:
    make(tmp_path, "store/a.png", "b.png")
    (tmp_path / "data").mkdir()
    for link, goal in (("ulm", "store"), ("bonn", "store"), ("c.png", "b.png")):
        (tmp_path / "data" / link).symlink_to(tmp_path / goal)
    assert list(list_(tmp_path / "data").files) == ["bonn/a", "c", "ulm/a"]
    (tmp_path / "linked").symlink_to(tmp_path / "data")
    assert list(list_(tmp_path / "linked").files) == ["bonn/a", "c", "ulm/a"]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    make(tmp_path, "ulm/a.png")
    (tmp_path / "ulm/again").symlink_to(tmp_path)
    (tmp_path / "ulm/self").symlink_to("self")
    assert list(list_(tmp_path).files) == ["ulm/a"]


def test_images_of_other_endings_and_folders_that_are_not_mounted_are_said(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "b.jpg", "c.tif", "d.webp", "notes.txt", "._e.jpg", "f.png.part", "g.pgm", "h", "i.PNG.gz")
    (tmp_path / "bonn").symlink_to(tmp_path / "not mounted")
    listing = list_(tmp_path)
    others = {"*.part": 1, "*.pgm": 1, "files without an ending": 1, "*.gz": 1}
    assert dict(listing.left_out) == {"*.jpg": 1, "*.tif": 1, "*.webp": 1, "links to nowhere": 1, **others}
    with pytest.raises(TooFew, match=r"must hold at least 2 images, got 1: \S+ holds .*; left out \*\.jpg \(1\)"):
        listing.require(2, "images")


def test_a_file_whose_name_is_all_ending_counts(tmp_path: Path) -> None:
    make(tmp_path, "_labels.png")
    assert listed(tmp_path, ("png",), lambda name: name.removesuffix("_labels")).files.keys() == {""}


@pytest.mark.parametrize("link", ["a.png", "ulm"])
def test_what_may_not_be_entered_is_named(tmp_path: Path, link: str, unprivileged: Callable[[Path], None]) -> None:
    make(tmp_path, "closed/a.png", "closed/ulm/b.png", "data/c.png")
    (tmp_path / "data" / link).symlink_to(tmp_path / "closed" / link)
    (tmp_path / "data/.hidden").symlink_to(tmp_path / "closed" / link)
    (tmp_path / "closed").chmod(0)
    unprivileged(tmp_path)
    with pytest.raises(ValueError, match=rf"data/{re.escape(link)} cannot be read: Permission denied; mend that, or "):
        list_(tmp_path / "data")


def test_own_names_tell_files_apart_or_do_not(tmp_path: Path) -> None:
    make(tmp_path, "a/1.png", "a/b/2.png")
    assert list(list_(tmp_path).flat().files) == ["1", "2"]
    make(tmp_path, "c/1.png")
    assert list(list_(tmp_path).flat().files) == ["a/1", "a/b/2", "c/1"]


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    assert list_(tmp_path).files == {}


def test_a_link_to_nowhere_is_listed_so_that_it_is_named_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "unmounted.png")
    assert list(list_(tmp_path).files) == ["a"]


@pytest.mark.parametrize(
    "name", [b"caf\xe9", b"two\nlines", b"tab\there", "Zürich ".encode(), b"'quoted' \"names\"", b"*"]
)
def test_any_name_is_listed(tmp_path: Path, name: bytes) -> None:
    (tmp_path / os.fsdecode(name + b".png")).write_bytes(b"")
    assert [os.fsencode(path) for path in list_(tmp_path).files] == [name]


def test_letters_with_accents_pair_however_a_system_writes_them(tmp_path: Path) -> None:
    make(tmp_path, "apart/Zu\u0308rich.png", "together/Z\u00fcrich.png")
    assert list_(tmp_path / "apart").files.keys() == list_(tmp_path / "together").files.keys()


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "a.PNG")
    with pytest.raises(ValueError, match=r"a\.PNG and \S+a\.png have the same name, 'a'; keep one"):
        list_(tmp_path)


def test_a_folder_that_fails_is_refused_and_not_taken_for_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "ulm/a.png")
    scandir = os.scandir

    def failing(path: Path) -> object:
        if Path(path).name == "ulm":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(ValueError, match=r"ulm cannot be read: Permission denied; mend"):
        list_(tmp_path)


def test_a_place_is_found_whatever_its_case_and_the_first_named_is_meant_where_none_is(tmp_path: Path) -> None:
    (tmp_path / "GTA").mkdir()
    (tmp_path / "leftImg8bit_trainvaltest/leftImg8bit").mkdir(parents=True)
    assert found(tmp_path, "gta5", "gta") == tmp_path / "GTA"
    assert found(tmp_path, "leftImg8bit", "leftImg8bit_trainvaltest/leftImg8bit").parent.name.endswith("trainvaltest")
    assert found(tmp_path, "cityscapes", "data") == tmp_path / "cityscapes"
    (tmp_path / "gta").mkdir()
    assert found(tmp_path, "gta") == tmp_path / "gta"


def test_a_message_tells_what_the_nearest_folder_holds(tmp_path: Path) -> None:
    assert contents(tmp_path / "gta5/images") == f"{tmp_path} holds nothing"
    make(tmp_path, *(f"{number}_images/1.png" for number in range(7)))
    assert contents(tmp_path / "images") == (
        f"{tmp_path} holds 0_images, 1_images, 2_images, 3_images, 4_images and 2 more"
    )
