"""What Ray and Python say of a worker that ended, in one line."""

import re

from platform.records.one_line import one_line


def gist(text: str) -> str:
    """What matters of an error: of a traceback what stands behind its frames, else all but an actor's attributes."""
    text = text.strip()
    if '  File "' in text:
        behind = re.split(r"\n\s+\S.*", text)[-1].strip()
        # A message may end in lines that are indented like frames.
        return one_line(behind or re.split(r"\n(?=\S)", text)[-1])
    return one_line(re.sub(r"\n\t\w+: .*", "", text))
