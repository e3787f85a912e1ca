"""The comparison with others' code, on checkouts of nobody's."""

import sys
from pathlib import Path

import pytest

from benchmarks import peers

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


def compared(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["peers", "--size", "64", "128", "--pairs", "1", *arguments])
    monkeypatch.setattr(peers, "keep_memory", lambda: None)
    monkeypatch.setattr(peers, "make_deterministic", lambda threads: None)
    peers.main()


def test_every_row_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original, official = checkout(tmp_path / "original", ORIGINAL), checkout(tmp_path / "official", OFFICIAL)
    compared(monkeypatch, "--original", original, "--fda", official)
    lines = capsys.readouterr().out.splitlines()
    names = ["source only", "adversarial", "adversarial, light", "FDA", "confusion matrix and accuracy"]
    assert [line[:32].strip() for line in lines] == [*names, "FDA's transform, band 5", "FDA's transform, band 25"]
    assert all(line.endswith("x") for line in lines)
    assert not [name for name in sys.modules if name == "model" or name.startswith("model.")]
    assert original not in sys.path


def test_without_others_code_there_is_nothing_to_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        compared(monkeypatch)
    assert "name a checkout by --original or --fda" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="must be a file of the checkout, got none; name the folder"):
        compared(monkeypatch, "--fda", str(tmp_path))
