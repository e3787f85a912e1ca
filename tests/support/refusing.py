"""How a study file's own calls refuse what they are given."""

import re
from collections.abc import Callable

import pytest


def refused(make: Callable[[], object], *parts: str) -> None:
    """The error is one line that holds these parts."""
    with pytest.raises(ValueError, match=re.escape(parts[0])) as caught:
        make()
    text = str(caught.value)
    assert "\n" not in text
    for part in parts:
        assert part in text
