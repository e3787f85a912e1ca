"""Questions of a form, each with what records answer, or with a hint for whom they leave it to."""

from collections.abc import Sequence
from typing import NamedTuple

from platform.results.report.page.text import inline

YOURS = "yours to fill in"


class Answer(NamedTuple):
    """One field of a form."""

    field: str
    said: str = ""
    """What records say, as plain text; empty where they do not know."""
    hint: str = ""
    """How to find it where they do not know."""
    note: str = ""
    """What the answer counts, where they do."""


class Section(NamedTuple):
    """Fields of a form that stand together."""

    title: str
    answers: Sequence[Answer]


def rendered(sections: Sequence[Section]) -> str:
    """The sections in Markdown: a table of fields and answers each, whose texts are shown as they are."""
    parts = []
    for section in sections:
        lines = ["| field | answer |", "| :-- | :-- |", *map(_line, section.answers)]
        parts.append(f"## {inline(section.title)}\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def open_fields(sections: Sequence[Section]) -> list[str]:
    """The fields that are left to the authors."""
    return [answer.field for section in sections for answer in section.answers if not answer.said]


def _line(answer: Answer) -> str:
    known = [inline(text) for text in (answer.said, answer.note) if text]
    open_ = [f"**{YOURS}**", *([inline(answer.hint)] if answer.hint else [])]
    return f"| {inline(answer.field)} | {'; '.join(known) if answer.said else ': '.join(open_)} |"
