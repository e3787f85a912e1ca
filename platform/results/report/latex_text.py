"""Text in LaTeX's own spelling, in ASCII: it compiles with every LaTeX, pdfLaTeX and OT1 fonts included."""

import re
import unicodedata

SPELLED = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # babel gives it another meaning in German, Dutch and others.
    '"': r"\char34{}",
    # A row that began with one of these would be read as an argument of the line break before it.
    "[": "{[}",
    "*": "{*}",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
    "→": r"$\rightarrow$",
    "←": r"$\leftarrow$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "⇒": r"$\Rightarrow$",
    "√": r"$\surd$",
    "½": r"$\frac{1}{2}$",
    "µ": r"$\mu$",
    "ϵ": r"$\epsilon$",
    "×": r"$\times$",  # noqa: RUF001
    "·": r"$\cdot$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≠": r"$\neq$",
    "≈": r"$\approx$",
    "∞": r"$\infty$",
    "∇": r"$\nabla$",
    "∂": r"$\partial$",
    "∈": r"$\in$",
    "−": "$-$",  # noqa: RUF001
    "°": r"$^\circ$",
    "†": r"\textdagger{}",
    "‡": r"\textdaggerdbl{}",
    "–": r"\textendash{}",  # noqa: RUF001
    "—": r"\textemdash{}",
    "‘": r"\textquoteleft{}",  # noqa: RUF001
    "’": r"\textquoteright{}",  # noqa: RUF001
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
    "…": r"\dots{}",
    "§": r"\S{}",
    "¶": r"\P{}",
    "©": r"\copyright{}",
    "¡": r"\textexclamdown{}",
    "¿": r"\textquestiondown{}",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "ı": r"\i{}",  # noqa: RUF001
}
ACCENTS = dict(
    zip("\u0300\u0301\u0302\u0303\u0308\u030a\u0304\u0306\u0307\u030c\u030b\u0327\u0323", "`'^~\"r=u.vHcd", strict=True)
)
"""Combining accents, and LaTeX's commands for them."""
SMALL = """
    alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi omega
"""
CAPITALS = "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
LETTERS = {*SMALL.split(), *CAPITALS.split()}
"""The Greek letters that LaTeX has; the others look like Latin ones."""
LIGATURES = re.compile(r"(?<=[-'`,!?])(?=[-'`,])")
"""Between signs that LaTeX would draw as another one: `--` as a dash."""


def escaped(text: str) -> str:
    """The text on one line as LaTeX prints it; what no LaTeX has by itself is given by its number, `U+4E2D`."""
    composed = unicodedata.normalize("NFC", " ".join(text.split()))
    return "".join(map(_spelled, LIGATURES.sub("\x00", composed)))


def unspelled(text: str) -> list[str]:
    """The characters of a text that stand in LaTeX by their numbers."""
    composed = unicodedata.normalize("NFC", "".join(text.split()))
    return sorted({sign for sign in composed if _spelled(sign) == _number(sign)})


def _spelled(sign: str) -> str:
    if sign == "\x00":
        return "{}"
    if found := SPELLED.get(sign):
        return found
    if sign.isascii() and sign.isprintable():
        return sign
    return _greek(sign) or _accented(sign) or _raised(sign) or _number(sign)


def _greek(sign: str) -> str:
    """A formula's Greek letter; Unicode calls lambda "lamda"."""
    found = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (\w+)", unicodedata.name(sign, ""))
    letter = found[2].lower().replace("lamda", "lambda") if found else ""
    letter = letter.title() if found and found[1] == "CAPITAL" else letter
    return rf"$\{letter}$" if letter in LETTERS else ""


def _accented(sign: str) -> str:
    apart = unicodedata.normalize("NFD", sign)
    base, accent = apart[0], apart[1:]
    return rf"\{ACCENTS[accent]}{{{base}}}" if base.isascii() and accent in ACCENTS else ""


def _raised(sign: str) -> str:
    """An exponent or an index of one character."""
    kind, _, base = unicodedata.decomposition(sign).partition(" ")
    mark = {"<super>": "^", "<sub>": "_"}.get(kind)
    plain = chr(int(base, 16)) if mark and re.fullmatch(r"[0-9A-F]+", base) else ""
    return f"${mark}{{{plain}}}$" if plain.isascii() and plain.isalnum() else ""


def _number(sign: str) -> str:
    return f"U+{ord(sign):04X}"
