"""Predictions that somebody else left: arrays of known shapes and kinds, by what they say ahead of their content."""

import io
import itertools
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from platform.results.report.predictions import stored


def npz(**arrays: bytes | np.ndarray) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            if isinstance(array, bytes):
                member.write(array)
            else:
                np.lib.format.write_array(member, array)
            archive.writestr(f"{name}.npy", member.getvalue())
    return buffer.getvalue()


def claims(shape: str, kind: str = "|u1") -> bytes:
    """An array's header without the array."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


IMAGES, LABELS = np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 8, 8), np.uint8)
GOOD: dict[str, Any] = {"images": IMAGES, "truth": LABELS, "prediction": LABELS}


def test_predictions_of_known_shapes_are_read(tmp_path: Path) -> None:
    (tmp_path / "prediction.npz").write_bytes(npz(**GOOD, trial=np.array(tmp_path.name)))
    assert stored(tmp_path / "prediction.npz") is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"images": claims("(4, 1000000, 1000000, 3)")},
        {"images": claims("(1000000, 8, 8, 3)")},
        {"images": claims("(2, 1, 8192, 3)")},
        {"images": claims("(2, 8, 8, 4)")},
        {"images": claims("(0, 8, 8, 3)")},
        {"images": claims("(2, -8, 8, 3)")},
        {"images": claims("()")},
        {"images": claims("(2, 8, 8, 3)", "|O")},
        {"images": claims("(2, 8, 8, 3)", "<f8")},
        {"images": b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535},
        {"images": b"\x93NUMPY\x02\x00\xff\xff\xff\x7f"},
        {"images": b""},
        {"truth": claims("(2, 100000, 100000)")},
        {"prediction": np.zeros((2, 8), np.uint8)},
        {"trial": claims("()", "<U1000000")},
        {"trial": claims("(1000000,)", "<U12")},
        {"trial": np.array("another's")},
    ],
    ids=itertools.count(),
)
def test_predictions_of_any_other_shape_are_left_out(tmp_path: Path, changes: dict[str, Any]) -> None:
    (tmp_path / "prediction.npz").write_bytes(npz(**(GOOD | changes)))
    assert stored(tmp_path / "prediction.npz") is None


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY", npz(), npz(images=IMAGES)], ids=itertools.count())
def test_what_are_no_predictions_is_left_out(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "prediction.npz").write_bytes(content)
    assert stored(tmp_path / "prediction.npz") is None


def test_a_pipe_for_predictions_is_left_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "prediction.npz")
    assert stored(tmp_path / "prediction.npz") is None
