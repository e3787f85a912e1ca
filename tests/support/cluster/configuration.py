"""`cluster.yaml`, filled in and with its section for AWS exchanged, as its first lines tell the user to do by hand."""

import re
from collections.abc import Callable

from platform.records.provenance import ROOT

FILE = ROOT / "cluster.yaml"
AWS = "AWS"
OWN_MACHINES = "Machines of your own"


def section(text: str, name: str) -> str:
    """What stands between the markers of a section."""
    (found,) = re.findall(rf"^# >>> {name}\n(.*?)^# <<< {name}\n", text, flags=re.MULTILINE | re.DOTALL)
    return str(found)


def exchanged(text: str) -> str:
    """The file for machines of one's own: the lines of one section are commented, those of the other uncommented."""
    text = _edited(text, AWS, lambda line: f"#{line}")
    return _edited(text, OWN_MACHINES, lambda line: line.removeprefix("#"))


def filled_in(text: str, **values: str) -> str:
    """The file with other values at its top, of anchors, keys or the settings' variables."""
    for name, value in values.items():
        places = rf"^( +{name}: &{name} |{name}: | +export {name}=).*$"
        text, found = re.subn(places, rf"\g<1>{value}", text, flags=re.MULTILINE)
        if found != 1:
            raise ValueError(f"{name} stands {found} times at the top of {FILE.name}")
    return text


def _edited(text: str, name: str, edit: Callable[[str], str]) -> str:
    old = section(text, name)
    return text.replace(old, "".join(edit(line) for line in old.splitlines(keepends=True)))
