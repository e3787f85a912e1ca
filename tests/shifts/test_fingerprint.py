"""Fingerprints of code: what it means counts; how and where it is written does not."""

from pathlib import Path

import pytest

from platform.shifts.fingerprint import fingerprint

BEFORE = '''"""A loss."""

from torch.nn import functional
from platform.methods.method import cross_entropy as labelled_loss


def loss(logits, labels):
    """Mean over pixels."""
    return functional.relu(labelled_loss(logits, labels))
'''
SAME = {
    "comments": BEFORE.replace("    return", "    # Never below 0.\n    return"),
    "layout": BEFORE.replace("(logits, labels)\n    ", "(\n    logits, labels\n)\n    ").replace("\n\n\n", "\n\n\n\n"),
    "docstrings": BEFORE.replace("Mean over pixels.", "The mean."),
    "annotations": BEFORE.replace("(logits, labels):", "(logits: object, labels: object) -> object:"),
    "another import": BEFORE.replace("from torch", "import math\nfrom torch"),
    "imports in another order": "from platform.methods.method import cross_entropy as labelled_loss\n"
    + BEFORE.replace("from platform.methods.method import cross_entropy as labelled_loss\n", ""),
    "a module of ours that moved": BEFORE.replace("platform.methods.method", "platform.methods.losses"),
    "another name for what is imported": BEFORE.replace("labelled_loss", "ours"),
}
OTHER = {
    "another operation": BEFORE.replace("relu", "gelu"),
    "another default": BEFORE.replace("labels):", "labels=None):"),
    "the same name for another thing": BEFORE.replace("cross_entropy", "focal_loss"),
    "another library": BEFORE.replace("torch.nn ", "torch.nn.utils "),
}


def of(folder: Path, *texts: str) -> str:
    """The fingerprint of files with these texts."""
    for number, text in enumerate(texts):
        (folder / f"{number}.py").write_text(text)
    return fingerprint([folder / f"{number}.py" for number in range(len(texts))])


@pytest.mark.parametrize("text", SAME.values(), ids=SAME)
def test_what_means_the_same_has_the_same_fingerprint(tmp_path: Path, text: str) -> None:
    assert of(tmp_path, text) == of(tmp_path, BEFORE)


@pytest.mark.parametrize("text", OTHER.values(), ids=OTHER)
def test_what_means_something_else_has_another(tmp_path: Path, text: str) -> None:
    assert of(tmp_path, text) != of(tmp_path, BEFORE)


def test_names_and_places_of_files_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "z.py").write_text(BEFORE)
    assert fingerprint([tmp_path / "deeper" / "z.py"]) == of(tmp_path, BEFORE)
    assert of(tmp_path, BEFORE, OTHER["another operation"]) == of(tmp_path, OTHER["another operation"], BEFORE)


def test_every_file_and_text_counts(tmp_path: Path) -> None:
    assert of(tmp_path, BEFORE) != of(tmp_path, BEFORE, "SIZE = 3\n")
    files = [tmp_path / "0.py"]
    assert fingerprint(files, "2.14") != fingerprint(files, "2.13")
