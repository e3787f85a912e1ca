"""Lines of records: an event as JSON, whose it is, the format it is written in, and a checksum.

    {"event": "report", "of": "0123456789ab", "format": 2, "step": 20, ..., "crc32": "89abcdef"}

`of` is the id of the trial, or the name of the study, whose file the line belongs to. Lines of format 0, of version
0.1.0, have neither `of` nor `format`; they are read for ever.
"""

import dataclasses
import functools
import json
import re
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from pydantic import TypeAdapter

FORMAT = 2
"""Raised whenever lines mean something that earlier versions would misread."""
HEAD = re.compile(rb'{"event": ("\w+")(?:, "of": ("(?:[^"\\]|\\.)*"), "format": (\d{1,9}))?(?:, )?')
CHECKSUM = re.compile(rb', "crc32": "([0-9a-f]{8})"}$')


class Unreadable(ValueError):
    """A line that does not count; the message completes `line 3 is ...`."""


class Newer(Unreadable):
    """A line that a newer version wrote."""


class Line(NamedTuple):
    """An event and its values."""

    event: str
    of: str | None
    """None where the line does not say."""
    values: bytes
    """As JSON."""

    def understood(self, kinds: Mapping[str, type]) -> Any:
        """The values as an object of the event's type; raises Unreadable where they do not make one."""
        if self.event not in kinds:
            raise Unreadable(f"of an unknown kind, {self.event!r}")
        # Only what reads records needs this, which takes a quarter of a second to import.
        from pydantic import ValidationError

        try:
            return _adapter(kinds[self.event]).validate_json(self.values)
        except RecursionError as error:
            raise Unreadable("nested too deeply") from error
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise Unreadable(f"none that this version understands ({where}: {first['msg']})") from error


def written(owner: str, event: str, values: "DataclassInstance") -> bytes:
    """A line without its newline; `owner` is the id of the trial or the name of the study whose file it goes to."""
    line = {"event": event, "of": owner, "format": FORMAT, **_by_field(values)}
    body = json.dumps(line, allow_nan=False, default=_by_field).encode()
    return b'%s, "crc32": "%08x"}' % (body[:-1], zlib.crc32(body))


def _by_field(values: "DataclassInstance") -> dict[str, Any]:
    """What a dataclass holds; not by `dataclasses.asdict`, which copies every count and value one by one."""
    return {field.name: getattr(values, field.name) for field in dataclasses.fields(values)}


def read(content: bytes, owner: str) -> Line:
    """What a line says. Raises Unreadable for one that is not whole, of another owner, or in a newer format."""
    if not content.endswith(b"\n"):
        raise Unreadable("cut off")
    if (end := _end(content)) is None:
        raise Unreadable("damaged")
    head = HEAD.match(content)
    if head is None:
        raise Unreadable("no line of a record")
    try:
        event, of, form = (json.loads(part or b"null") for part in head.groups())
    except ValueError as error:
        raise Unreadable("no line of a record") from error
    if form is not None and form > FORMAT:
        raise Newer(f"in format {form}, which a newer version writes")
    if of not in (None, owner):
        raise Unreadable(f"of {of!r}")
    return Line(event, of, b"{%s}" % content[head.end() : end])


def _end(content: bytes) -> int | None:
    """Where a line's checksum begins; None where it does not fit."""
    checksum = CHECKSUM.search(content.removesuffix(b"\n"))
    if checksum is None or zlib.crc32(content[: checksum.start()] + b"}") != int(checksum[1], 16):
        return None
    return checksum.start()


def owner_of(content: bytes) -> str | None:
    """Whose a line says it is, in whatever format; None where it is damaged, or does not say."""
    head = None if _end(content) is None else HEAD.match(content)
    try:
        return None if head is None or head[2] is None else str(json.loads(head[2]))
    except ValueError:
        return None


@functools.cache
def _adapter(kind: type) -> "TypeAdapter[Any]":
    from pydantic import ConfigDict, TypeAdapter

    # Pydantic takes no configuration for a dataclass by itself, which is to know nothing of Pydantic.
    form: Any = kind | None
    return TypeAdapter(form, config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
