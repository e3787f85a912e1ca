"""Rendered streets to real photographs, through a domain of a few lines; skipped where they are not on this machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from platform.records.provenance import ROOT
from platform.shifts import CAMVID_11, Domain, contents, image_of, labels_of, pair, union
from platform.shifts.labels import VOID
from platform.shifts.shift import Pixels
from tests.support.arrays import all_of

DATA = ROOT.parent / "shared/data"
HELD_OUT = 6

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the photographs are not on this machine")


@dataclass(frozen=True)
class Streets(Domain):
    """JPEG images with train ids; the last of a folder are held out, `test` is a folder of its own."""

    root: Path
    number: int

    def place(self, split: str) -> Path:
        return self.root if self.name == "renderings" else self.root / ("val" if split == "test" else "train")

    def identity(self) -> dict[str, Any]:
        return {"files": contents(self.root), "number": self.number}

    def names(self, split: str) -> Sequence[str]:
        names = sorted(path.stem for path in (self.place(split) / "images").iterdir())
        return names[-HELD_OUT:] if split == "val" else names[: self.number]

    def read(self, split: str, name: str) -> tuple[Pixels, Pixels | None]:
        place = self.place(split)
        return image_of(place / "images" / f"{name}.jpg"), labels_of(place / "labels" / f"{name}.png")


def test_rendered_streets_and_photographs_are_a_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    shift = pair(
        Streets("renderings", DATA / "source", 20),
        Streets("photographs", DATA / "target", 12),
        size=(96, 128),
        groups=CAMVID_11,
        few=4,
    )
    shift.check()
    splits = shift.open()
    assert (len(splits.source_train), len(splits.source_val), len(splits.target_adapt)) == (20, HELD_OUT, 12)
    assert splits.oracle.test.labels.shape == (12, 360, 480)
    assert splits.few is not None
    assert len(splits.few) == 4
    for split in (splits.source_train, splits.oracle.adapt, splits.oracle.test):
        assert np.mean(all_of(split.labels) == 0) > 0.1, "every street has a road"
        assert np.mean(all_of(split.labels) == VOID) < 0.2
    assert not caplog.records, "what is as it should be is taken without a word"


def test_photographs_may_be_a_source_beside_renderings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    @dataclass(frozen=True)
    class Frames(Streets):
        def names(self, split: str) -> Sequence[str]:
            return [*super().names(split)][:2]

    source = union(Frames("renderings", DATA / "source", 2), Frames("day", DATA / "target", 2))
    splits = pair(source, Frames("photographs", DATA / "target", 3), (96, 128), CAMVID_11).open()
    assert splits.source_train.domains == (0, 0, 1, 1)
