"""Names that a study may have, and that some format, file system or terminal could take for its own signs."""

NASTY = (
    r"\textbf{100 %} & $x_1^2$ #1 ~ <b>|</b> ^",
    "[first] *second* `third` &lt; www.a.org",
    "1. FDA -- ''β'' ?` !`",
    "+ entropy",
    "- mixing",
    "=1+1",
    "@SUM(A1)",
    "'quoted' \"double\"",
    "# no heading",
    "_hidden_",
    "a$b$ {0} %s {x}",
    "中文 한국어 日本語",
    "é as e\u0301, ñ, ß, ø, ł, ą, Ж, ο",  # noqa: RUF001
    "سلام עברית",
    "🙂 L² x₁ − ≤",  # noqa: RUF001
    "../up; rm -rf ~ && $(x) > y",
    "x" * 200,
)
REFUSED = (
    "",
    " ",
    "two\nlines",
    "tab\there",
    "\x1b[31mred",
    "return\r",
    "null\0",
    "zero\u200bwidth",
    "joined\u200d",
    "right\u202eto left",
    "byte\udcff",
    "line\u2028end",
    "private\ue000",
    "nobody's\U000e0fff",
    "no-break\u00a0blank",
    "\u0301accent first",
    "\u3164",
    "b\ufe0f",
    "c\u034f",
    "d\U000e0100",
    "e\u180b",
    "f\u17b4",
    "x" * 201,
    "é" * 101,
)
"""Names that cannot be shown, or are too long for where they go."""
