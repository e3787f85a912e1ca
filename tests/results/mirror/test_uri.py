"""Which MLflow: tracking URIs that may work, and those that cannot."""

from pathlib import Path

import pytest

from platform.records.store import Store
from platform.results.mirror.tracker import Tracker
from platform.results.mirror.uri import checked, default_uri
from tests.support.synthetic_study import study_header


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("http://", "must be http://HOST:PORT"),
        ("http://host:port", "must be http://HOST:PORT"),
        ("htp://127.0.0.1:1", "must be http://HOST:PORT"),
        ("", "must be http://HOST:PORT"),
        ("nonsense", "keeps no runs in folders"),
        ("./mlruns", "keeps no runs in folders"),
        ("file:///tmp/mlruns", "keeps no runs in folders"),
        ("sqlite:mlflow.db", "must name a file"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///{folder}/no/mlflow.db", "folder that exists, which {folder}/no does not"),
        ("sqlite:///{folder}/a_file/mlflow.db", "folder that exists"),
        ("sqlite:///{folder}/a_file", "which {folder}/a_file is not"),
        ("sqlite:///{folder}", "which {folder} cannot"),
        ("postgresql+nodriver://user:secret@127.0.0.1:1/runs", "database"),
        ("http://user:secret@", "got 'http://***@'"),
        (
            "postgresql://user:pa@secret@127.0.0.1:1/runs",
            "written as %40 and %2F, got 'postgresql://***@127.0.0.1:1/runs'",
        ),
        (
            "postgresql://user:pa/secret@127.0.0.1:1/runs",
            "written as %40 and %2F, got 'postgresql://***@127.0.0.1:1/runs'",
        ),
        ("http://user:secret@secret@127.0.0.1:5000", "written as %40 and %2F, got 'http://***@127.0.0.1:5000'"),
    ],
)
def test_a_uri_that_can_never_work_is_refused_in_one_line(uri: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "a_file").write_text("no database, but long enough to look at\n" * 20)
    with pytest.raises(ValueError, match="correct MLFLOW_TRACKING_URI") as refusal:
        Tracker(uri.format(folder=tmp_path), study_header(), Store(tmp_path))
    message = str(refusal.value)
    assert says.format(folder=tmp_path) in message
    assert "\n" not in message
    assert "secret" not in message


def test_uris_that_may_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert checked("sqlite:///mlflow.db") == f"sqlite:///{tmp_path}/mlflow.db"
    for uri in ("http://127.0.0.1:1", "https://user:secret@example.org/path"):
        assert checked(uri) == uri
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert default_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://example.org:5000")
    assert default_uri(tmp_path) == "http://example.org:5000"
