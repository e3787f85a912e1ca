"""Figures as PNG files, and what all figures share."""

import io
import textwrap

from matplotlib.figure import Figure

DOTS_PER_INCH = 120


def png(figure: Figure) -> bytes:
    """The figure as a PNG file's bytes, equal for equal figures."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def wrapped(text: str, width: int) -> str:
    return textwrap.fill(" ".join(text.split()), max(width, 8))
