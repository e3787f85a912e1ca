"""The score command as a user runs it: what it prints, its exit code, and one line for each kind of bad input."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from platform.commands import score
from platform.records.provenance import ROOT
from platform.scores import metrics
from platform.shifts.files.codings import OTHERS, SHARES
from platform.shifts.labels import CLASSES, NAMES, VOID, palette


def write(path: Path, ids: npt.NDArray[np.generic], paletted: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids.astype(np.uint8))
    if paletted:
        image.putpalette(palette().ravel().tolist())
    image.save(path)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three paletted predictions and their grey ground truths; half of the pixels agree, bicycle is never there."""
    generator = np.random.default_rng(0)
    for name in ("a", "b", "town/c"):
        truth = generator.choice([*range(18), VOID], (6, 8))
        prediction = np.where(generator.random(truth.shape) < 0.5, truth, generator.integers(0, 18, truth.shape))
        write(tmp_path / "labels" / f"{name}.png", truth)
        write(tmp_path / "predictions" / f"{name}.png", prediction, paletted=True)
    return tmp_path / "predictions", tmp_path / "labels"


def read(folder: Path) -> npt.NDArray[np.uint8]:
    return np.stack([np.asarray(Image.open(path)) for path in sorted(folder.rglob("*.png"))])


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert score.main([str(argument) for argument in arguments]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that bad input gets."""
    assert score.main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


def test_cityscapes_convention(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    predictions, labels = folders
    result = run(capsys, *folders, "--convention", "cityscapes")
    expected = metrics.cityscapes(metrics.confusion(read(predictions), read(labels)))
    assert result == {
        "miou": expected.miou,
        "accuracy": expected.accuracy,
        "iou": {**dict(zip(NAMES, expected.iou, strict=True)), "bicycle": None},
        "images": 3,
        "pixels": int((read(labels) != VOID).sum()),
    }


def test_original_convention(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    predictions, labels = folders
    result = run(capsys, *folders, "--convention", "original")
    expected = metrics.original(metrics.confusion(read(predictions), read(labels)))
    assert (result["miou"], result["accuracy"]) == (expected.miou, expected.accuracy)
    assert result["iou"] == dict(zip(NAMES, expected.iou, strict=True))
    assert result["iou"]["bicycle"] == 0
    assert result["pixels"] == 3 * 6 * 8


def test_cityscapes_is_the_convention_where_none_is_named(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, *folders) == run(capsys, *folders, "--convention", "cityscapes")


def test_label_ids_score_like_the_train_ids_they_stand_for(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    label_ids = np.full(256, VOID, np.uint8)
    label_ids[:19] = [entry.label_id for entry in CLASSES]
    for folder in folders:
        for path in folder.rglob("*.png"):
            ids = label_ids[np.asarray(Image.open(path))]
            ids[ids == VOID] = 4  # "static", one of the label ids that are not evaluated
            write(tmp_path / "ids" / path.relative_to(tmp_path), ids)
    by_label_id = run(capsys, tmp_path / "ids/predictions", tmp_path / "ids/labels", "--ids", "label")
    assert by_label_id == run(capsys, *folders)


@pytest.mark.parametrize(("ids", "ending"), [("train", "labelTrainIds"), ("label", "labelIds")])
def test_files_named_as_cityscapes_names_them_are_paired(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ids: str, ending: str
) -> None:
    write(tmp_path / "predictions/bonn/bonn_000000_000019_leftImg8bit.png", np.full((2, 3), 7))
    for kind in ("labelIds", "labelTrainIds"):
        write(
            tmp_path / f"gtFine/bonn/bonn_000000_000019_gtFine_{kind}.png", np.full((2, 3), 7 if kind == ending else 0)
        )
    for kind in ("color", "instanceIds"):
        Image.new("RGBA", (3, 2)).save(tmp_path / f"gtFine/bonn/bonn_000000_000019_gtFine_{kind}.png")
    (tmp_path / "gtFine/bonn/bonn_000000_000019_gtFine_polygons.json").write_text("{}")
    result = run(capsys, tmp_path / "predictions", tmp_path / "gtFine", "--ids", ids)
    assert (result["miou"], result["images"], result["pixels"]) == (1.0, 1, 6)


@pytest.mark.parametrize("ids", ["train", "label"])
def test_predicted_train_ids_are_scored_against_a_ground_truth_that_is_named_after_its_label_ids(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ids: str
) -> None:
    generator = np.random.default_rng(0)
    label_ids = np.array([entry.label_id for entry in CLASSES])
    for frame in ("bonn_000000_000019", "bonn_000001_000019"):
        truth = generator.integers(0, 19, (6, 8))
        ending = "" if ids == "train" else "_labelTrainIds"
        write(tmp_path / f"predictions/bonn/{frame}{ending}.png", truth)
        write(tmp_path / f"gtFine/bonn/{frame}_gtFine_labelIds.png", label_ids[truth])
    result = run(capsys, tmp_path / "predictions", tmp_path / "gtFine", "--ids", ids)
    assert (result["miou"], result["images"]) == (1.0, 2)


def folders_of(tmp_path: Path, prediction: str, truth: str, ids: npt.NDArray[np.generic]) -> tuple[Path, Path]:
    """Ten images of these ids in each folder, named after these patterns."""
    generator = np.random.default_rng(0)
    for frame in range(10):
        image = generator.choice(ids, (64, 128))
        write(tmp_path / "predictions" / prediction.format(f"ulm_{frame:06}_000019"), image)
        write(tmp_path / "labels" / truth.format(f"ulm_{frame:06}_000019"), image)
    return tmp_path / "predictions", tmp_path / "labels"


def test_train_ids_read_as_label_ids_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predictions, labels = folders_of(tmp_path, "{}.png", "{}.png", np.arange(19))
    line = refusal(capsys, predictions, labels, "--ids", "label")
    assert f"{predictions} must hold Cityscapes label ids (road is 7), got ids that are spread like Cityscapes" in line
    assert line.endswith("; use --ids train, or end the names of files of train ids in _labelTrainIds.png\n")
    assert run(capsys, predictions, labels)["miou"] == 1


def test_train_ids_in_files_named_after_label_ids_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = folders_of(tmp_path, "{}.png", "ulm/{}_gtFine_labelIds.png", np.arange(19))
    line = refusal(capsys, *folders, "--ids", "train")
    assert f"{folders[1]} must hold Cityscapes label ids" in line
    assert "the files are named *_labelIds.png: give them the names of what they hold, or convert them" in line


def test_label_ids_read_as_train_ids_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, *folders_of(tmp_path, "{}.png", "{}.png", np.array([entry.label_id for entry in CLASSES])))
    assert "train ids must be 0 to 18, or 255 for void, got" in line
    assert "use --ids label" in line


@pytest.mark.parametrize(("prediction", "truth"), [("{}.png", "town/{}.png"), ("a/{}.png", "b/c/{}.png")])
def test_predictions_of_other_folders_are_paired_by_their_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], prediction: str, truth: str
) -> None:
    folders = folders_of(tmp_path, prediction, truth.replace("{}", "x{}"), np.arange(19))
    assert "without a partner" in refusal(capsys, *folders)
    for path in folders[1].rglob("*.png"):
        path.rename(path.with_name(path.name.removeprefix("x")))
    assert run(capsys, *folders)["images"] == 10


def test_a_folder_that_is_scored_against_itself_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predictions, _ = folders_of(tmp_path, "{}.png", "{}.png", np.arange(19))
    (tmp_path / "again").symlink_to(predictions)
    assert score.main([str(predictions), str(tmp_path / "again")]) == 0
    assert "are the same folder: every pixel is right" in capsys.readouterr().err


@pytest.mark.parametrize("ids", ["train", "label"])
@pytest.mark.parametrize("name", ["CamVid's 11 ids", "CamVid's 32 ids", "IDD's ids"])
def test_ids_that_are_neither_kind_are_to_be_converted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, ids: str
) -> None:
    (coding,) = (coding for coding in OTHERS if coding.name == name)
    shares = np.array([SHARES.get(kind, 0.01) / coding.classes.count(kind) for kind in coding.classes])
    folders = folders_of(
        tmp_path, "{}.png", "{}.png", np.repeat(np.arange(len(shares)), np.round(1000 * shares).astype(int))
    )
    assert refusal(capsys, *folders, "--ids", ids).endswith(f"; convert these files to {ids} ids\n")


def test_a_folder_that_may_not_be_entered_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], unprivileged: Callable[[Path], None]
) -> None:
    (tmp_path / "closed/labels").mkdir(parents=True)
    (tmp_path / "closed").chmod(0)
    unprivileged(tmp_path)
    assert "closed/labels is not a folder" in refusal(capsys, tmp_path / "closed/labels", tmp_path)


@pytest.mark.parametrize(
    "prediction",
    ["{}.png", "{}_leftImg8bit.png", "{}_pred_labelIds.png", "submission/{}_leftImg8bit_predicted.png", "ulm/{}_x.png"],
)
def test_a_submission_is_paired_with_a_ground_truth_by_city(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], prediction: str
) -> None:
    label_ids = np.array([entry.label_id for entry in CLASSES])
    result = run(capsys, *folders_of(tmp_path, prediction, "ulm/{}_gtFine_labelIds.png", label_ids), "--ids", "label")
    assert (result["miou"], result["images"]) == (1.0, 10)


def test_two_predictions_of_one_frame_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    label_ids = np.array([entry.label_id for entry in CLASSES])
    predictions, labels = folders_of(tmp_path, "{}.png", "ulm/{}_gtFine_labelIds.png", label_ids)
    write(predictions / "ulm_000003_000019_soft.png", np.zeros((64, 128)))
    line = refusal(capsys, predictions, labels, "--ids", "label")
    assert "have the same name, 'ulm_000003_000019'; keep one of them" in line


def test_coloured_copies_beside_predictions_are_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions, labels = folders_of(tmp_path, "{}_leftImg8bit.png", "{}.png", np.arange(19))
    write(predictions / "ulm_000003_000019_leftImg8bit_color.png", np.zeros((64, 128)), paletted=True)
    assert score.main([str(predictions), str(labels)]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["images"] == 10
    assert err == f"note: {predictions}: left out *_color (1)\n"


def test_linked_folders_are_scored(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    before = run(capsys, *folders)
    for folder in folders:
        (folder / "town").rename(folder.parent / f"{folder.name}-town")
        (folder / "town").symlink_to(folder.parent / f"{folder.name}-town")
    assert run(capsys, *folders) == before


def test_hidden_files_are_left_out_and_said(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    before = run(capsys, *folders)
    for folder in folders:
        (folder / "._a.png").write_bytes(b"\0\5\26\7")
    assert score.main([str(folder) for folder in folders]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == before
    assert err == "".join(f"note: {folder}: left out hidden files (1)\n" for folder in folders)


def test_endings_may_have_any_case_and_names_any_bytes(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before = run(capsys, *folders)
    for folder in folders:
        (folder / "a.png").rename(folder / os.fsdecode(b"caf\xe9\n.PNG"))
    assert run(capsys, *folders) == before
    (folders[0] / "b.png").rename(folders[0] / os.fsdecode(b"caf\xe9.png"))
    assert "without a partner" in refusal(capsys, *folders)


def test_a_folder_of_other_ground_truths_says_what_it_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = folders_of(tmp_path, "{}.png", "{}_gtFine_instanceIds.png", np.arange(19))
    line = refusal(capsys, *folders)
    assert line.startswith(f"error: {folders[1]} must hold at least 1 label images, PNG files of train ids, got 0: ")
    assert line.endswith("; left out *_gtFine_instanceIds (10)\n")


@pytest.mark.parametrize("colours", [2, 4, 16])
def test_a_palette_of_few_colours_is_stored_in_fewer_bits_and_read_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], colours: int
) -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8))
    image.putpalette(palette()[:colours].ravel().tolist())
    for folder in ("predictions", "labels"):
        (tmp_path / folder).mkdir()
        image.save(tmp_path / folder / "a.png")
    result = run(capsys, tmp_path / "predictions", tmp_path / "labels")
    assert [name for name, iou in result["iou"].items() if iou is not None] == ["road", "sidewalk"]


def damage(change: Callable[[Path], object]) -> Callable[[Path, Path], object]:
    """Bad input that is one changed prediction."""
    return lambda predictions, labels: change(predictions / "b.png")


def make_folder(path: Path) -> None:
    """Put a folder in the place of a file."""
    path.unlink()
    path.mkdir()


def each(folder: Path, change: Callable[[Path], object]) -> None:
    """Change every image of a folder."""
    for path in list(folder.rglob("*.png")):
        change(path)


BAD_INPUT: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "colour image": (damage(lambda path: Image.new("RGB", (8, 6)).save(path)), r"b\.png: .* got a colour image; save"),
    "colour and alpha": (damage(lambda path: Image.new("RGBA", (8, 6)).save(path)), r"b\.png: .* got a colour image"),
    "grey and alpha": (damage(lambda path: Image.new("LA", (8, 6)).save(path)), r"b\.png: .* got a colour image"),
    "16 bits": (damage(lambda path: Image.new("I;16", (8, 6)).save(path)), r"b\.png: label images have 8 bits, got 16"),
    "1 bit": (damage(lambda path: Image.new("1", (8, 6)).save(path)), r"b\.png: label images have 8 bits, got 1"),
    "JPEG": (damage(lambda path: Image.new("L", (8, 6)).save(path, "JPEG")), r"b\.png: label images are PNG files"),
    "other size": (
        damage(lambda path: Image.new("L", (6, 8)).save(path)),
        r"predictions/b\.png must have the size of .*labels/b\.png, 8 x 6, got 6 x 8; predict",
    ),
    "no image": (damage(lambda path: path.write_text("ids")), r"b\.png: label images are PNG files, got another"),
    "no bytes": (damage(lambda path: path.write_bytes(b"")), r"b\.png: label images are PNG files, got another"),
    "truncated": (
        damage(lambda path: path.write_bytes(path.read_bytes()[:-30])),
        r"b\.png cannot be read: .*truncated",
    ),
    "a folder called like a file": (damage(make_folder), r"without a partner: \S+labels/b\.png; add"),
    "id out of range": (
        damage(lambda path: write(path, np.full((6, 8), 26))),
        r"b\.png: train ids must be 0 to 18, or 255 for void, got 26; check",
    ),
    "missing prediction": (damage(Path.unlink), r"without a partner: \S+labels/b\.png; add"),
    "missing labels": (
        lambda predictions, labels: (labels / "town/c.png").unlink(),
        r"without a partner: \S+predictions/town/c\.png; add",
    ),
    "same name twice": (
        lambda predictions, labels: (predictions / "a_leftImg8bit.png").write_bytes(b""),
        r"a\.png and .*a_leftImg8bit\.png have the same name, 'a'; keep one",
    ),
    "no files": (
        lambda predictions, labels: each(predictions, Path.unlink),
        r"predictions must hold at least 1 label images, PNG files of train ids, got 0: \S+predictions holds town",
    ),
    "no folder": (
        lambda predictions, labels: labels.rename(labels.parent / "elsewhere"),
        r"labels is not a folder; name",
    ),
    "nothing but void": (
        lambda predictions, labels: each(labels, lambda path: write(path, np.full((6, 8), VOID))),
        r"nothing to score; check",
    ),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_line_and_exit_code_2(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str], case: str
) -> None:
    spoil, expected = BAD_INPUT[case]
    spoil(*folders)
    assert re.search(expected, refusal(capsys, *folders))


def test_label_ids_out_of_range_are_refused(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    write(folders[1] / "b.png", np.full((6, 8), 35))
    assert "label ids must be 0 to 34, or 255 for void, got 35" in refusal(capsys, *folders, "--ids", "label")


def test_of_many_files_without_partner_the_first_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "predictions/a.png", np.zeros((1, 1)))
    for number in range(13):
        write(tmp_path / f"labels/{number:02}.png", np.zeros((1, 1)))
    message = refusal(capsys, tmp_path / "predictions", tmp_path / "labels")
    assert "labels/02.png and 11 more" in message
    assert "labels/03.png" not in message


def test_the_command_line_itself(folders: tuple[Path, Path]) -> None:
    command = [sys.executable, "-m", "platform.score", *map(str, folders), "--convention"]
    good = subprocess.run([*command, "original"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(json.loads(good.stdout)) == {"miou", "accuracy", "iou", "images", "pixels"}
    assert good.stderr == ""
    bad = subprocess.run([*command, "pascal"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert bad.returncode == 2
    assert bad.stdout == ""


def test_scoring_loads_neither_torch_nor_ray() -> None:
    program = "import sys, platform.commands.score; print(sys.modules.keys() & set(sys.argv))"
    libraries = ["torch", "ray", "scipy", "pandas", "psutil", "mlflow"]
    command = [sys.executable, "-c", program, *libraries]
    assert subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout == "set()\n"
