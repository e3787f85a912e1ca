"""What Ray and Python say of a worker that ended, in one line."""

import re

from platform.records.one_line import one_line


def gist(text: str) -> str:
    """What matters of an error's text: what stands behind a traceback's frames, or behind a list of attributes."""
    text = text.strip()
    return one_line(re.split(r"\n\s+\S.*", text)[-1].strip() or text)
