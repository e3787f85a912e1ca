"""Servers that answer and take nothing, or take all but files: no number counts as delivered that is not there."""

import socket
from pathlib import Path

import pytest

from platform.commands import tracking
from tests.support.copied_study import RUN, STUDY, recorded_study
from tests.support.http_answers import NO, PAGE, answering
from tests.support.mlflow_contents import contents
from tests.support.mlflow_server import Server

pytestmark = pytest.mark.slow


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study's records; and a command that waits for an answer, and no longer."""
    monkeypatch.setattr(tracking, "SILENT_SECONDS", 600.0)
    monkeypatch.setattr(tracking, "COMMAND_PATIENCE", 20.0)
    return recorded_study(tmp_path / "results")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a server keeps what it has."""
    made = tmp_path / "server"
    made.mkdir()
    return made


@pytest.mark.thorough
def test_what_a_server_fails_to_take_was_not_delivered_whatever_the_environment_asks(
    results: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_LOGGING", "true")
    with Server(folder) as server:
        with answering(lambda path: NO if "log-batch" in path else None, server.uri) as between:
            assert tracking.main([str(results), "--to", between]) == 3
        assert "1 trial with 4 reports could not be copied: MLflow refuses trial" in capsys.readouterr().out
        assert contents(server.uri, STUDY)[RUN].metrics == {}
        assert tracking.main([str(results), "--to", server.uri]) == 0
        assert len(contents(server.uri, STUDY)[RUN].metrics["source/miou"]) == 4


@pytest.mark.thorough
def test_a_location_that_is_only_the_servers_or_never_answers_holds_back_no_number(
    results: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server's own folder, of which another machine has one of the same name; then an S3 that hangs."""
    elsewhere = ("--no-serve-artifacts", "--default-artifact-root", str(folder / "artifacts"))
    with Server(folder, artifacts=elsewhere) as server:
        unlisted = (200, "application/json", b"{}")
        with answering(lambda path: unlisted if "artifacts/list" in path else None, server.uri) as between:
            assert tracking.main([str(results), "--to", between]) == 3
            line = capsys.readouterr().out
            assert "copied, but not 3 files" in line
            assert "the server does not find what was written there" in line
            assert "mlflow server --artifacts-destination FOLDER" in line
        assert contents(server.uri, STUDY)[RUN].status == "FINISHED"
        assert tracking.main([str(results), "--to", server.uri]) == 0
        assert contents(server.uri, STUDY)[RUN].files == ("prediction.png",)

    (folder / "mlflow.db").unlink()
    capsys.readouterr()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "key")
        with Server(folder, artifacts=("--default-artifact-root", "s3://bucket/runs")) as server:
            assert tracking.main([str(results), "--to", server.uri]) == 3
            line = capsys.readouterr().out
            assert "copied, but not 3 files: pictures and tables cannot be stored at s3://bucket/runs/" in line
            assert "no answer within 8 s" in line


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (PAGE, "what answers is no MLflow, but a web page"),
        ((401, "text/html", b"<html>"), "MLFLOW_TRACKING_USERNAME"),
        ((404, "text/html", b"<html>"), "no MLflow is there"),
        ((502, "text/html", b"<html>"), "MLflow fails with HTTP 502"),
        ((200, "application/json", b"{}"), "no MLflow, though it speaks JSON"),
    ],
    ids=["page", "401", "404", "502", "json"],
)
def test_what_is_no_mlflow_is_said_in_one_line(
    results: Path, answer: tuple[int, str, bytes], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(lambda _: answer) as uri:
        assert tracking.main([str(results), "--to", uri]) == 2
    out, error = capsys.readouterr()
    assert (out, error.count("\n")) == ("", 1)
    assert says in error
