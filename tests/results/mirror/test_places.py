"""Where an MLflow keeps runs and files: what is wrong there is said at once, and holds up nothing else."""

import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from mlflow import MlflowClient
from mlflow.environment_variables import MLFLOW_ACTIVE_MODEL_ID, MLFLOW_ENABLE_ASYNC_LOGGING

from platform.commands import tracking
from platform.records.provenance import ROOT
from platform.results.mirror.places import database
from platform.results.mirror.places.files import Place
from platform.results.mirror.places.within import within
from platform.results.mirror.reasons import Unusable, check_environment, reason, trouble
from platform.results.mirror.serving import prepare
from tests.support.copied_study import RUN, STUDY, recorded_study
from tests.support.mlflow_contents import contents
from tests.support.patience import PATIENCE


@pytest.fixture(autouse=True)
def _never_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "SILENT_SECONDS", 600.0)


def test_files_without_a_place_hold_back_no_number_and_arrive_once_it_is_mended(
    uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, in_the_way = recorded_study(tmp_path / "results"), tmp_path / "a file"
    in_the_way.touch()
    location = (in_the_way / "artifacts").as_uri()
    MlflowClient(tracking_uri=uri).create_experiment(STUDY, artifact_location=location)

    assert tracking.main([str(results), "--to", uri]) == 3
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(
        f"{STUDY}: 1 trial with 4 reports copied, but not 3 files: pictures and tables cannot be stored at {location} ("
    )
    assert f"make {in_the_way}/artifacts a folder that can be written" in line
    assert "away" not in line
    in_the_way.rename(tmp_path / "aside")
    held = contents(uri, STUDY)
    assert {name: (run.status, run.files) for name, run in held.items()} == {
        STUDY: ("KILLED", ()),  # other seeds are missing
        RUN: ("FINISHED", ()),
    }
    assert (len(held[RUN].metrics["source/miou"]), held[RUN].tags["lacks"]) == (4, "prediction.png")
    assert "test/miou" in held[RUN].metrics

    assert tracking.main([str(results), "--to", uri]) == 0
    assert capsys.readouterr().out == f"{STUDY}: 1 trial with 4 reports was there already\n"
    held = contents(uri, STUDY)
    assert {name: run.files for name, run in held.items()} == {
        STUDY: ("quickstart.py", "table.md"),
        RUN: ("prediction.png",),
    }
    assert "lacks" not in held[RUN].tags


def test_a_database_that_refuses_is_asked_once() -> None:
    asked: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                asked.append(connection)
                connection.close()

        threading.Thread(target=refuse, daemon=True).start()
        with pytest.raises(Exception, match="closed the connection"):
            database.check(f"postgresql+psycopg://user:secret@127.0.0.1:{server.getsockname()[1]}/runs?sslmode=disable")
    assert len(asked) == 1


def test_a_call_that_never_answers_is_left_to_itself() -> None:
    answered = threading.Event()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.01 s"):
        within(0.01, answered.wait)
    answered.set()
    with pytest.raises(ZeroDivisionError):
        within(60, lambda: 1 / 0)


def revisions() -> list[str]:
    """The versions of MLflow's tables, newest first."""
    import mlflow

    script = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    return [version.revision for version in script.walk_revisions()]


@pytest.mark.parametrize(
    ("version", "says"),
    [
        (lambda: revisions()[5], "an older version than MLflow .* back it up and run: mlflow db upgrade"),
        (lambda: "ffffffffffff", "a newer version than MLflow .* install that version here"),
    ],
    ids=["older", "newer"],
)
def test_tables_of_another_mlflow_are_left_alone(uri: str, tmp_path: Path, version: object, says: str) -> None:
    assert callable(version)
    with sqlite3.connect(tmp_path / "mlflow.db") as file:
        file.execute("UPDATE alembic_version SET version_num = ?", (version(),))
        file.execute("DROP TABLE logged_model_params")
    with pytest.raises(Unusable, match=says):
        database.check(uri)
    with sqlite3.connect(tmp_path / "mlflow.db") as file:
        assert file.execute("SELECT version_num FROM alembic_version").fetchall() == [(version(),)]


def test_a_file_that_is_damaged_or_anothers_is_named_as_such(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    file.write_bytes(b"SQLite format 3\0" + b"damaged " * 1000)
    with pytest.raises(Unusable, match="damaged, or none; move it away"):
        database.check(f"sqlite:///{file}")
    file.unlink()
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE experiments (name TEXT)")
    with pytest.raises(Unusable, match="another program's tables"):
        database.check(f"sqlite:///{file}")
    file.unlink()
    database.check(f"sqlite:///{file}")


def test_what_would_change_the_meaning_of_a_call_is_ours_and_addresses_and_secrets_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs = {
        "MLFLOW_TRACKING_TOKEN": "secret",
        "MLFLOW_TRACKING_SERVER_CERT_PATH": "/etc/ssl/lab.pem",
        "MLFLOW_S3_ENDPOINT_URL": "http://minio:9000",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
        "MLFLOW_WORKSPACE": "lab",
    }
    changing = {
        "MLFLOW_ENABLE_ASYNC_LOGGING": "true",
        "MLFLOW_TRUNCATE_LONG_VALUES": "false",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "7",
        "MLFLOW_ACTIVE_MODEL_ID": "m-1",
        "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "AssertionPool",
    }
    for name in {*os.environ, *changing}:
        if name.startswith("MLFLOW_"):
            monkeypatch.delenv(name, raising=False)
    for name, value in (theirs | changing).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "")
    prepare()
    assert {name: os.environ[name] for name in theirs} == theirs
    assert MLFLOW_ENABLE_ASYNC_LOGGING.get() is False  # type: ignore[no-untyped-call]
    assert MLFLOW_ACTIVE_MODEL_ID.get() is None  # type: ignore[no-untyped-call]
    assert os.environ["MLFLOW_TRUNCATE_LONG_VALUES"] == "true"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
    assert "MLFLOW_SQLALCHEMYSTORE_POOLCLASS" not in os.environ


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("failed with error code 401 != 200. Response body: '<html>'", "HTTP 401: .* MLFLOW_TRACKING_TOKEN"),
        ("failed with error code 403 != 200", "HTTP 403: .* --allowed-hosts"),
        ("413 Client Error: Request Entity Too Large for url", "HTTP 413: .* client_max_body_size"),
        ("(Caused by ResponseError('too many 502 error responses'))", "fails with HTTP 502; its own log"),
        ("(Caused by ResponseError('too many 503 error responses'))", r"MLflow is away \(.*HTTP 503"),
        (
            "the response body was not in a valid JSON format. Response body: '<!DOCTYPE",
            "a web page; name MLflow's own",
        ),
        ("certificate verify failed (CERTIFICATE_VERIFY_FAILED)", "MLFLOW_TRACKING_SERVER_CERT_PATH"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "begin the address with http://"),
        ("[Errno 111] Connection refused", r"^MLflow is away \(\[Errno 111\] Connection refused\)$"),
    ],
)
def test_what_an_mlflow_that_cannot_be_used_says_comes_with_the_remedy(said: str, means: str) -> None:
    assert re.search(means, trouble(Exception(said)))


def test_the_reason_is_the_error_at_the_bottom_on_one_line() -> None:
    error = ConnectionError("retries exceeded")
    error.__cause__ = ValueError("disk I/O error\n  [SQL: INSERT]\n")
    assert reason(error) == "disk I/O error [SQL: INSERT]"
    error.__cause__ = TimeoutError()
    assert reason(error) == "TimeoutError"
    error.__cause__ = ValueError("refused: " + "x" * 300)
    assert (reason(error)[:9], len(reason(error))) == ("refused: ", 200)


def test_the_process_ends_with_its_driver(tmp_path: Path) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", "from platform.results.mirror.serving import serve; serve()"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ,
    )
    output, _ = driver.communicate(timeout=PATIENCE)
    assert (driver.returncode, output) == (0, b"")


def test_a_location_is_shown_without_its_secrets() -> None:
    place = Place(MlflowClient("http://127.0.0.1:1"), "http://127.0.0.1:1", "r", "ftp://bob:secret@host/a/r/artifacts")
    assert str(place) == "ftp://***@host/a"
    assert "secret" not in place.remedy(OSError("no"))


@pytest.mark.parametrize(
    ("name", "value"), [("MLFLOW_HTTP_REQUEST_TIMEOUT", "abc"), ("MLFLOW_TRACKING_INSECURE_TLS", "maybe")]
)
def test_a_variable_that_mlflow_cannot_read_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    check_environment()
    monkeypatch.setenv(name, value)
    with pytest.raises(Unusable, match=name) as raised:
        check_environment()
    assert trouble(raised.value).startswith("MLflow cannot be used: ")
    assert value in trouble(raised.value)
