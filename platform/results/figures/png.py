"""Figures as PNG files, and what all figures share."""

import functools
import io
import warnings

from matplotlib import rc_context, rcParamsDefault
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager, get_font
from matplotlib.text import Text

from platform.results.lines import broken

DOTS_PER_INCH = 120
FONT = "DejaVu Sans"
"""The font that comes with matplotlib; what it lacks is taken from others where a machine has them."""
PLACEHOLDERS = "Last Resort"
"""A font of matplotlib's that has a box for every sign."""

own_style = rc_context({name: value for name, value in rcParamsDefault.items() if "backend" not in name})
"""Decorates what makes figures: they look alike whatever a user's matplotlibrc says, which may ask for a LaTeX."""


@own_style
def png(figure: Figure) -> bytes:
    """The figure as a PNG file's bytes, equal for equal figures; signs that no font has are written as escapes."""
    _find_signs(figure)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A bold font may lack what the same font has otherwise: an empty box is no reason to end a study.
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")
        figure.savefig(buffer, format="png", facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def wrapped(text: str, width: int) -> str:
    """A text in lines of at most `width` columns, as it is drawn."""
    return "\n".join(broken(_drawn(text, _fonts(_signs(text))[1]), width))


def _find_signs(figure: Figure) -> None:
    """Have the figure's texts drawn in fonts that have their signs."""
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and not text.get_text().isascii()]
    families, nowhere = _fonts(_signs("".join(text.get_text() for text in texts)))
    for text in texts:
        text.set_fontfamily(families)
        if families[1:]:
            # Few of the other fonts have a bold one, and matplotlib would complain.
            text.set_fontweight("normal")
        text.set_text(_drawn(text.get_text(), nowhere))


def _drawn(text: str, nowhere: frozenset[str]) -> str:
    return "".join(ascii(sign)[1:-1] if sign in nowhere else sign for sign in text)


def _signs(text: str) -> frozenset[str]:
    return frozenset(sign for sign in text if not sign.isascii())


@functools.cache
def _fonts(signs: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """The names of the fonts that have what matplotlib's own lacks, and the signs that no font has."""
    families: list[str] = []
    for entry in sorted(fontManager.ttflist, key=lambda entry: (entry.name != FONT, entry.name)):
        if not signs:
            break
        if entry.name.startswith(PLACEHOLDERS):
            continue
        try:
            has = get_font(entry.fname).get_charmap()
        except (OSError, RuntimeError):
            continue  # matplotlib's list of fonts may be of another machine
        found = {sign for sign in signs if ord(sign) in has}
        families += [entry.name] * bool(found)
        signs -= found
    return tuple(dict.fromkeys([FONT, *families])), signs
