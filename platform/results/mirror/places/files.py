"""Where an MLflow keeps files: an experiment's artifact location, which the client itself may have to write to."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlflow import MlflowClient
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request_safe

from platform.results.mirror.places.within import within
from platform.results.mirror.uri import without_secrets

FILE_SECONDS = 8.0
"""Time that a file may take; S3's own client would try for minutes."""
LISTING = "/api/2.0/mlflow/artifacts/list"
SERVE = "mlflow server --artifacts-destination"


class Elsewhere(Exception):
    """What was written to the location is not where the server looks for it."""


@dataclass(frozen=True)
class Place:
    """The files of one run."""

    client: MlflowClient
    uri: str
    """Where MLflow itself is."""
    run_id: str
    location: str

    def __str__(self) -> str:
        return without_secrets(self._folder, self._folder)

    def put(self, name: str, content: bytes) -> None:
        """Store a file; raises whatever keeps it from its place."""
        within(FILE_SECONDS, lambda: self._put(name, content))

    def remedy(self, error: Exception) -> str:
        """How somebody makes the location take files, after this error."""
        scheme = urlsplit(self.location).scheme
        if scheme in ("mlflow-artifacts", "http", "https"):
            return f"the server keeps the files, and its log says more; it needs {SERVE} FOLDER"
        if self._is_folder:
            folder = unquote(urlsplit(self._folder).path)
            if not self._is_served:
                return f"make {folder} a folder that can be written, with room in it"
            return (
                f"the server leaves files to its clients: share {folder} with this machine, or start the server by "
                f"{SERVE} FOLDER, which holds for experiments made from then on, so that the study needs another name"
            )
        means = (
            "install the package that this names" if isinstance(error, ImportError) else "let this machine write there"
        )
        return (
            f"{means}, or have a server keep the files ({SERVE} {scheme}://...), for experiments made from then on, so "
            "that the study needs another name"
        )

    @property
    def _folder(self) -> str:
        return self.location.removesuffix(f"/{self.run_id}/artifacts")

    @property
    def _is_folder(self) -> bool:
        return urlsplit(self.location).scheme in ("", "file")

    @property
    def _is_served(self) -> bool:
        return self.uri.startswith("http")

    def _put(self, name: str, content: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / name
            file.write_bytes(content)
            self.client.log_artifact(self.run_id, str(file))
        if self._is_folder and self._is_served:
            self._check_that_the_server_has(name)

    def _check_that_the_server_has(self, name: str) -> None:
        """Raise Elsewhere where client and server mean different folders by one path."""
        server = get_default_host_creds(self.uri)  # type: ignore[no-untyped-call]
        answer = http_request_safe(server, LISTING, "GET", params={"run_id": self.run_id})  # type: ignore[no-untyped-call]
        if name not in {entry["path"] for entry in answer.json().get("files", [])}:
            raise Elsewhere("the server does not find what was written there")
