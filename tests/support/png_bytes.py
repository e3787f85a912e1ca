"""PNG files of every depth and colour type."""

import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt


def png(path: Path, bits: int, colour: int, samples: npt.NDArray[np.integer]) -> None:
    """Write a PNG byte by byte: Pillow writes few of the kinds that it reads. `samples` has one row per line."""
    rows = [np.packbits([[int(bit) for bit in f"{value:0{bits}b}"] for value in row]).tobytes() for row in samples]
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)

    header = (samples.shape[1] // channels).to_bytes(4) + len(rows).to_bytes(4) + bytes([bits, colour, 0, 0, 0])
    content = zlib.compress(b"".join(b"\0" + row for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", content) + chunk(b"IEND", b""))
