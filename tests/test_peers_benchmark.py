"""The comparison with others' code, on checkouts of nobody's."""

import os
import sys
from contextlib import chdir
from pathlib import Path

import pytest

from benchmarks import peers
from tests.support.small_data_sets import write_cityscapes, write_gta5

ORIGINAL = {
    "model/__init__.py": "",
    "model/build_BiSeNet.py": """
import torchvision.models
from torch import nn
from torch.nn import functional

class BiSeNet(nn.Module):
    def __init__(self, classes, context):
        super().__init__()
        self.features = torchvision.models.resnet18(pretrained=True).conv1
        self.classify = nn.Conv2d(64, classes, 1)

    def forward(self, images):
        logits = functional.interpolate(self.classify(self.features(images)), images.shape[-2:], mode="bilinear")
        return logits, logits + 1, logits - 1
""",
    "model/discriminator.py": """
from torch import nn

class FCDiscriminator(nn.Conv2d):
    def __init__(self, classes):
        super().__init__(classes, 1, 4, stride=4)

class Light_Discriminator(FCDiscriminator):
    pass
""",
    "train_DomainAdapt.py": """
import numpy
from PIL import Image
from torch.utils.data import Dataset

from utils import compute_global_accuracy


class Listed(Dataset):
    def __init__(self, split):
        self.names = numpy.loadtxt(f"{self.folder}/{split}.txt", dtype=str, delimiter="\\n")
        self.crop_size = (1024, 512)

    def __len__(self):
        return len(self.names)

    def read(self, kind, name):
        with Image.open(f"{self.folder}/{kind}/{name.split('/')[-1]}") as image:
            return numpy.asarray(image.resize(self.crop_size), numpy.float32)


class GTADataset(Listed):
    folder = "./data/GTA5"

    def __getitem__(self, index):
        return self.read("images", self.names[index]), self.read("labels", self.names[index])


class target_Dataset(Listed):
    folder = "./data/Cityscapes"

    def __getitem__(self, index):
        return self.read("images", self.names[index])
""",
    "utils.py": """
import numpy

def fast_hist(labels, prediction, classes):
    return numpy.bincount(classes * labels + prediction, minlength=classes**2)

def compute_global_accuracy(prediction, labels):
    return (prediction == labels).mean()
""",
}
OFFICIAL = {"utils/__init__.py": "def FDA_source_to_target_np(source, target, L):\n    return source + L * target\n"}


def checkout(folder: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return str(folder)


def lay_out_data(folder: Path) -> None:
    """Eight images of either domain, of which seven train, and one to test on."""
    for number in range(1, 9):
        write_gta5(folder, f"{number:05d}")
        write_cityscapes(folder, "train", "aachen", number)
    write_cityscapes(folder, "val", "lindau", 1)


def compared(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["peers", "--size", "64", "128", "--pairs", "1", *arguments])
    monkeypatch.setattr(peers, "keep_memory", lambda: None)
    monkeypatch.setattr(peers, "make_deterministic", lambda threads: None)
    peers.main()


def test_every_row_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original, official = checkout(tmp_path / "original", ORIGINAL), checkout(tmp_path / "official", OFFICIAL)
    lay_out_data(data := tmp_path / "data")
    cpus = os.sched_getaffinity(0)
    compared(monkeypatch, "--original", original, "--fda", official, "--data", str(data))
    assert os.sched_getaffinity(0) == cpus
    lines = capsys.readouterr().out.splitlines()
    names = ["source only", "adversarial", "adversarial, light", "FDA", "confusion matrix and accuracy"]
    names += ["loading, first epoch", "loading, later epochs"]
    assert [line[:32].strip() for line in lines] == [*names, "FDA's transform, band 5", "FDA's transform, band 25"]
    assert all(line.endswith("x") for line in lines)
    assert not [name for name in sys.modules if name == "model" or name.startswith("model.")]
    assert original not in sys.path


def test_without_data_loading_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(peers, "steps", lambda *_: {})
    compared(monkeypatch, "--original", checkout(tmp_path, ORIGINAL))
    assert "loading is left out: name a folder of gta5/ and cityscapes/ by --data" in capsys.readouterr().out


def test_both_load_the_same_images_of_the_same_size(tmp_path: Path) -> None:
    original, data = checkout(tmp_path / "original", ORIGINAL), tmp_path / "data"
    lay_out_data(data)
    ours = peers.OurEpochs(data, (64, 128), tmp_path)
    theirs = peers.TheirEpochs(Path(original), data, ours.splits, (64, 128), tmp_path)
    assert ours.steps == 1
    source, target = ours.splits.source_train.images, ours.splits.target_adapt
    with chdir(tmp_path):
        assert len(theirs._source) == len(theirs._target) == 2
        assert next(iter(theirs._source))[0].shape == (4, 64, 128, 3)
    assert source.pixels.shape[1:] == (64, 128, 3)
    listed = {
        name: (tmp_path / "data" / name / "train.txt").read_text(encoding="utf-8").split()
        for name in ("GTA5", "Cityscapes")
    }
    assert listed["GTA5"] == [f"{name}.png" for name in source.names]
    assert listed["Cityscapes"] == [f"{name}_leftImg8bit.png" for name in target.names]


def test_without_others_code_there_is_nothing_to_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        compared(monkeypatch)
    assert "name a checkout by --original or --fda" in capsys.readouterr().err


def test_no_pairs_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils" / "__init__.py").touch()
    with pytest.raises(SystemExit):
        compared(monkeypatch, "--fda", str(tmp_path), "--pairs", "0")
    assert "--pairs must be at least 1, got 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "file"), [("original", "model/build_BiSeNet.py"), ("fda", "utils/__init__.py"), ("data", "gta5")]
)
def test_a_folder_that_holds_something_else_is_told(
    option: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils" / "__init__.py").touch()
    elsewhere = tmp_path / "elsewhere"
    with pytest.raises(SystemExit):
        compared(monkeypatch, "--fda", str(tmp_path), f"--{option}", str(elsewhere))
    assert f"--{option} must be a folder that holds {file}, got {elsewhere}; name the one" in capsys.readouterr().err
