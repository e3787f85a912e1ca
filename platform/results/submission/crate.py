"""An RO-Crate of the kit: its files, the software that made them and the data they rest on, as linked data.

RO-Crate 1.2 (Soiland-Reyes et al., 2022; w3id.org/ro/crate/1.2): one file of JSON-LD in the folder that it describes.
"""

import json
import mimetypes
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from platform.results.submission.data import licences
from platform.results.submission.facts import VERSIONS, Facts

PROFILE = "https://w3id.org/ro/crate/1.2"
METADATA = "ro-crate-metadata.json"
LICENCE = "https://spdx.org/licenses/MIT"
"""Of this project's code; what a user's records come under the user says."""
PARQUET = "application/vnd.apache.parquet"


def crate(known: Facts, files: Mapping[str, bytes], described: Mapping[str, str], today: str) -> bytes:
    """The crate's metadata; `described` says what a file, or a folder whose name ends in a slash, is."""
    header = known.header
    parts = sorted({folder for folder in described if folder.endswith("/")} | files.keys())
    software = [_software(known, name) for name in known.versions]
    data = [_data_set(name, terms) for name, terms in licences(header).items()]
    graph = [
        {
            "@id": METADATA,
            "@type": "CreativeWork",
            "conformsTo": {"@id": PROFILE},
            "about": {"@id": "./"},
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": f"Records and table of the study {header.name}",
            "description": " ".join(header.question.split()) or header.name,
            "datePublished": today,
            "license": {"@id": "#licence"},
            "hasPart": [{"@id": quote(part)} for part in parts],
            "mentions": [{"@id": "#run"}, *({"@id": each["@id"]} for each in data)],
        },
        {
            "@id": "#licence",
            "@type": "CreativeWork",
            "name": "not said",
            "description": "The authors say under which terms they pass on these records, after review.",
        },
        {
            "@id": "#run",
            "@type": "CreateAction",
            "name": f"Running the study {header.name}",
            "startTime": header.began,
            "instrument": [{"@id": each["@id"]} for each in software],
            "object": [{"@id": quote(_study_file(files))}, *({"@id": each["@id"]} for each in data)],
            "result": [{"@id": part} for part in ("records.parquet", "table.md") if part in files],
        },
        {"@id": LICENCE, "@type": "CreativeWork", "name": "MIT License"},
        *software,
        *data,
        *(_part(part, files, described) for part in parts),
    ]
    document = {"@context": f"{PROFILE}/context", "@graph": graph}
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def _study_file(files: Mapping[str, bytes]) -> str:
    return next((name for name in files if name.endswith(".py")), "README.md")


def _software(known: Facts, name: str) -> dict[str, Any]:
    versions = " or ".join(known.versions[name])
    entity: dict[str, Any] = {
        "@id": f"#{name}",
        "@type": "SoftwareApplication",
        "name": VERSIONS[name],
        "softwareVersion": versions,
    }
    if name == "platform_version":
        commits = " or ".join(known.commits)
        entity |= {"license": {"@id": LICENCE}, "version": commits} if commits else {"license": {"@id": LICENCE}}
    return entity


def _data_set(name: str, terms: str) -> dict[str, Any]:
    # A contextual entity, since none of it is in the crate: "Dataset" would be a folder of it.
    return {"@id": f"#data-{quote(name)}", "@type": "CreativeWork", "name": name, "usageInfo": terms}


def _part(part: str, files: Mapping[str, bytes], described: Mapping[str, str]) -> dict[str, Any]:
    about = {"@id": quote(part), "name": part.rstrip("/")}
    about |= {"description": described[part]} if part in described else {}
    if part.endswith("/"):
        return about | {"@type": "Dataset"}
    if part.endswith(".py"):
        return about | {"@type": ["File", "SoftwareSourceCode"], "programmingLanguage": "Python"}
    kind = PARQUET if part.endswith(".parquet") else mimetypes.guess_type(part)[0] or "text/plain"
    return about | {"@type": "File", "encodingFormat": kind, "contentSize": str(len(files[part]))}
