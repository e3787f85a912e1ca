"""An RO-Crate of the kit: its files, the software that made them and the data they rest on, as linked data.

RO-Crate 1.2 (Soiland-Reyes et al., 2022; w3id.org/ro/crate/1.2): one file of JSON-LD in the folder that it describes.
"""

import json
import mimetypes
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from platform.results.submission.data import licences
from platform.results.submission.facts import VERSIONS, Facts

PROFILE = "https://w3id.org/ro/crate/1.2"
METADATA = "ro-crate-metadata.json"
LICENCE = "https://spdx.org/licenses/MIT"
"""Of this project's code; what a user's records come under the user says."""
PARQUET = "application/vnd.apache.parquet"
Entity = dict[str, Any]
"""Of linked data, by its properties."""


def crate(known: Facts, files: Mapping[str, bytes], described: Mapping[str, str], today: str) -> bytes:
    """The crate's metadata; `described` says what a file, or a folder whose name ends in a slash, is."""
    parts = sorted({folder for folder in described if folder.endswith("/")} | files.keys())
    software = [_software(known, name) for name in known.versions]
    data = [_data_set(name, terms) for name, terms in licences(known.header).items()]
    graph = [
        {"@id": METADATA, "@type": "CreativeWork", "conformsTo": {"@id": PROFILE}, "about": {"@id": "./"}},
        _root(known, parts, data, today),
        {
            "@id": "#licence",
            "@type": "CreativeWork",
            "name": "not said",
            "description": "The authors say under which terms they pass on these records, after review.",
        },
        _run(known, files, software, data),
        {"@id": LICENCE, "@type": "CreativeWork", "name": "MIT License"},
        *software,
        *data,
        *(_part(part, files, described) for part in parts),
    ]
    document = {"@context": f"{PROFILE}/context", "@graph": graph}
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def _root(known: Facts, parts: Sequence[str], data: Sequence[Entity], today: str) -> Entity:
    """The crate itself: what it is of, and all that is in it."""
    header = known.header
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Records and table of the study {header.name}",
        "description": " ".join(header.question.split()) or header.name,
        "datePublished": today,
        "license": {"@id": "#licence"},
        "hasPart": [{"@id": quote(part)} for part in parts],
        "mentions": [{"@id": "#run"}, *map(_reference, data)],
    }


def _run(known: Facts, files: Mapping[str, bytes], software: Sequence[Entity], data: Sequence[Entity]) -> Entity:
    """How the records came about: by which software, from the study file and the data."""
    return {
        "@id": "#run",
        "@type": "CreateAction",
        "name": f"Running the study {known.header.name}",
        "startTime": known.header.began,
        "instrument": [*map(_reference, software)],
        "object": [{"@id": quote(_study_file(files))}, *map(_reference, data)],
        "result": [{"@id": part} for part in ("records.parquet", "table.md") if part in files],
    }


def _reference(entity: Entity) -> Entity:
    return {"@id": entity["@id"]}


def _study_file(files: Mapping[str, bytes]) -> str:
    return next((name for name in files if name.endswith(".py")), "README.md")


def _software(known: Facts, name: str) -> Entity:
    versions = " or ".join(known.versions[name])
    entity: Entity = {
        "@id": f"#{name}",
        "@type": "SoftwareApplication",
        "name": VERSIONS[name],
        "softwareVersion": versions,
    }
    if name == "platform_version":
        commits = " or ".join(known.commits)
        entity |= {"license": {"@id": LICENCE}, "version": commits} if commits else {"license": {"@id": LICENCE}}
    return entity


def _data_set(name: str, terms: str) -> Entity:
    # A contextual entity, since none of it is in the crate: "Dataset" would be a folder of it.
    return {"@id": f"#data-{quote(name)}", "@type": "CreativeWork", "name": name, "usageInfo": terms}


def _part(part: str, files: Mapping[str, bytes], described: Mapping[str, str]) -> Entity:
    about = {"@id": quote(part), "name": part.rstrip("/")}
    about |= {"description": described[part]} if part in described else {}
    if part.endswith("/"):
        return about | {"@type": "Dataset"}
    if part.endswith(".py"):
        return about | {"@type": ["File", "SoftwareSourceCode"], "programmingLanguage": "Python"}
    kind = PARQUET if part.endswith(".parquet") else mimetypes.guess_type(part)[0] or "text/plain"
    return about | {"@type": "File", "encodingFormat": kind, "contentSize": str(len(files[part]))}
