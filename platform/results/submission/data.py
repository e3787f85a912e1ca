"""The data sets of a study and the terms that they come under, as far as they are known."""

from collections.abc import Mapping
from typing import Any

from platform.records.record import StudyHeader

KNOWN: Mapping[str, Mapping[str, str]] = {
    "town": {"town": "MIT, as this project, whose code renders it: no photograph, nobody's data"},
    "gta5_to_cityscapes": {
        "GTA5": (
            "Richter, Vineet, Roth, Koltun, Playing for Data, ECCV 2016: for research and education, not for "
            "commercial use; labels by its authors, frames of a game whose publisher has terms of its own; "
            "other images that lie as GTA5's do have their own"
        ),
        "Cityscapes": (
            "Cordts et al., The Cityscapes Dataset, CVPR 2016: its own licence, for research and other purposes that "
            "are not commercial; neither the data nor what is derived from them may be passed on; "
            "other images that lie as Cityscapes' do have their own"
        ),
    },
}
"""Of the data sets of shifts that come with the project, by the shift's name."""
NOT_SAID = "not said; ask its authors, and say it by pair(..., licences={...})"
"""Of a data set of the user's own."""


def licences(header: StudyHeader) -> dict[str, str]:
    """The terms of each data set that a study uses, by name."""
    said = {**KNOWN.get(header.shift["name"], {}), **header.licences}
    return {name: said.get(name, NOT_SAID) for name in _data_sets(header)} | said


def sizes(header: StudyHeader) -> dict[str, int]:
    """Images of each split, where they were counted, or the shift's identity says them."""
    if header.images:
        return header.images
    source, target = header.shift.get("source_images"), header.shift.get("target_images")
    if not (isinstance(source, list) and isinstance(target, list) and len(source) == 2 and len(target) == 3):
        return {}
    return {
        **dict(zip(("source train", "source val"), source, strict=True)),
        **dict(zip(("target adapt", "target val", "target test"), target, strict=True)),
    }


def _data_sets(header: StudyHeader) -> list[str]:
    """Their names: those of a pair's domains, each of several ones', or the shift's own."""
    sides = [header.shift.get(side) for side in ("source", "target")]
    names = [name for side in sides if isinstance(side, dict) for name in _domains(side)]
    return names or list(KNOWN.get(header.shift["name"], [header.shift["name"]]))


def _domains(side: Mapping[str, Any]) -> list[str]:
    identity = side.get("identity")
    parts = identity.get("domains") if isinstance(identity, dict) else None
    if isinstance(parts, list) and all(isinstance(part, dict) for part in parts):
        return [name for part in parts for name in _domains(part)]
    return [str(side["name"])] if "name" in side else []
