"""The files of a run: what they hold, and why they have no place."""

import logging
import time
from pathlib import Path

from platform.records.one_line import one_line
from platform.records.storage.files import is_plain, read_plain
from platform.records.storage.storage import most_bytes
from platform.results.figures.png import png
from platform.results.figures.predictions import prediction_picture
from platform.results.mirror.entries import PICTURE
from platform.results.mirror.messages import Answer, Files
from platform.results.mirror.places.files import FILE_SECONDS, Place
from platform.results.mirror.reasons import REMEDIES, reason, status
from platform.results.report.predictions import stored

log = logging.getLogger(__name__)
Groups = tuple[tuple[int, ...], ...]


def store(place: Place, asked: Files, groups: Groups) -> Answer:
    """Store what a run should hold; the answer names what has no place, and why the first of it has none.

    Where that takes long to be found out, the rest is not tried.
    """
    errors: dict[str, Exception] = {}
    lost: list[str] = []
    wasted = 0.0
    for name in (*(path.name for path in asked.paths), *asked.texts):
        content = _content(asked, name, groups)
        began = time.monotonic()
        try:
            if wasted >= FILE_SECONDS:
                raise next(iter(errors.values()))
            if content is None:
                lost.append(name)
            else:
                place.put(PICTURE if asked.trial else name, content)
        except Exception as error:
            errors[name] = error
            wasted += time.monotonic() - began
    unstored = _unstored(place, next(iter(errors.values()))) if errors else ""
    return Answer(lacking=tuple(errors), unstored=unstored, lost=tuple(lost))


def _content(asked: Files, name: str, groups: Groups) -> bytes | None:
    """What a file should hold; None where the records no longer have it."""
    if name in asked.texts:
        return asked.texts[name].encode()
    path = next(path for path in asked.paths if path.name == name)
    return _picture(path, groups) if asked.trial else _read(path)


def _read(path: Path) -> bytes | None:
    return read_plain(path, most_bytes(path.name)) if is_plain(path) else None


def _picture(predictions: Path, groups: Groups) -> bytes | None:
    arrays = stored(predictions)
    if arrays is None:
        log.warning("%s: damaged or gone, and no picture of it", predictions)
        return None
    try:
        return png(prediction_picture(arrays["images"], arrays["truth"], arrays["prediction"], groups))
    except Exception:
        log.exception("%s: no picture of its predictions", predictions)
        return None  # a run without its picture is worth more than none


def _unstored(place: Place, error: Exception) -> str:
    code = status(error)
    if code in REMEDIES:
        why, remedy = f"HTTP {code}", REMEDIES[code]
    else:
        why, remedy = reason(error), place.remedy(error)
    return one_line(f"pictures and tables cannot be stored at {place} ({why}); {remedy}", 700)
