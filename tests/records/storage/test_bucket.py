"""What is a bucket's own: its address, its requests, and what happens when it cannot be reached."""

import re
import socket
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from platform.commands.remote.fetching import _download, take_over
from platform.records.location import results_store
from platform.records.storage import bucket as buckets
from platform.records.storage.bucket import SIGN_SECONDS, Bucket
from platform.records.storage.locks import study_lock
from platform.records.store import Store
from tests.support.fetched import Fetched
from tests.support.refusals import refused
from tests.support.s3_server import Server

STUDY = "studies/quickstart.py"
GIVES_UP = 60
"""Seconds in which a command has given up on a server that cannot be reached."""
SECRET = "wJalrXUtnFEMI/K7MDENG"
REFUSED = (
    "s3://",
    "s3:///lab",
    "s3://Results/lab",
    "s3://results/my lab",
    "gs://results/lab",
    "s3://results/lab?allow_bucket_creation=true",
    f"s3://results/lab?access_key=AKIA&secret_key={SECRET}",
    f"s3://AKIA:{SECRET}@results/lab",
)


@pytest.fixture(autouse=True)
def _a_machine_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What only one machine needs of results in buckets lies in the home folder otherwise."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def uri(s3: Server, tmp_path: Path) -> str:
    return s3.uri(f"{tmp_path.parent.name}/{tmp_path.name}")


def nobody(s3: Server) -> str:
    """A bucket on a server that does not run."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return s3.uri("lab").replace(str(s3.port), str(probe.getsockname()[1]))


def missing(s3: Server) -> str:
    """A bucket that nobody made."""
    return s3.uri("lab", bucket="none")


def append(bucket: Bucket, file: str, *lines: bytes) -> None:
    for line in lines:
        bucket.append(file, line)


def requests(s3: Server, act: Callable[[], object]) -> Counter[str]:
    """What the server is asked while something is done."""
    before = s3.requests()
    act()
    return s3.requests() - before


# Its address


@pytest.mark.parametrize("uri", REFUSED)
def test_an_address_that_is_none(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, STUDY, "--report", "--results", uri)
    assert "s3://BUCKET/PREFIX" in line
    assert SECRET not in line


@pytest.mark.parametrize("end", ["", "/"])
@pytest.mark.parametrize("prefix", ["", "/lab", "/lab/deeper"])
def test_a_prefix_or_none(s3: Server, prefix: str, end: str) -> None:
    bucket = Bucket(s3.uri("").replace("/?", f"{prefix}{end}?"))
    bucket.write("here/file", b"content")
    assert Bucket(s3.uri("")).read(f"{prefix}/here/file".lstrip("/")) == b"content"
    assert "here" in bucket.names("")
    assert str(bucket).rstrip("/") == f"s3://results{prefix}"


def test_all_checkouts_of_a_machine_have_one_lock(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    address, _, options = uri.partition("?")
    turned = f"{address}/?{'&'.join(reversed(options.split('&')))}"
    with study_lock(results_store(turned).study_folder("quickstart")):
        assert "quickstart is already running (process " in refused(capsys, STUDY, "--results", uri)


# Its requests


def test_a_small_file_is_written_by_one_request(s3: Server, uri: str) -> None:
    bucket = Bucket(uri)
    assert requests(s3, lambda: bucket.write("trials/0a/claim", b"mine")) == {"PUT": 1}


def test_what_was_appended_is_not_read_again(s3: Server, uri: str) -> None:
    bucket, lines = Bucket(uri), [b"%d" % number for number in range(10)]
    asked = requests(s3, lambda: append(bucket, "study/journal.jsonl", *lines))
    assert asked["PUT"] == 10
    assert asked["GET"] <= 1, "whether there is something"


def test_of_many_files_the_oldest_are_forgotten_and_read_again(
    s3: Server, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "REMEMBERED_FILES", 2)
    bucket, files = Bucket(uri), [f"trials/{number}/record.jsonl" for number in range(3)]
    for file in files:
        bucket.append(file, b"one")
    assert requests(s3, lambda: bucket.append(files[2], b"two"))["GET"] == 0
    for file in files:
        assert requests(s3, partial(append, bucket, file, b"three"))["GET"] > 0 or file == files[2]
    assert [bucket.read(file) for file in files] == [b"one\nthree\n", b"one\nthree\n", b"one\ntwo\nthree\n"]


def test_a_sign_is_asked_for_now_and_then(s3: Server, uri: str) -> None:
    bucket, began = Bucket(uri), time.monotonic()
    assert not bucket.shows("study/stop")
    of_one = requests(s3, lambda: Bucket(uri).shows("study/stop")).total()
    of_all = requests(s3, lambda: [bucket.shows("study/stop") for _ in range(1000)]).total()
    assert of_all <= of_one * (time.monotonic() - began) / SIGN_SECONDS


# Starting over


def test_what_was_moved_by_halves_is_moved_again(uri: str, tmp_path: Path) -> None:
    """A folder is moved file by file: copied first, then removed, and killed in between."""
    bucket = Bucket(uri)
    for file in ("trials/0a/record.jsonl", "trials/0a/checkpoint.pt"):
        bucket.write(file, file.encode())
    bucket.copy("trials/0a", "set-aside/first/trials/0a")
    bucket.remove("trials/0a/checkpoint.pt")
    bucket.move("trials/0a", "set-aside/first/trials/0a")
    assert bucket.names("trials/0a") == []
    for file in ("trials/0a/record.jsonl", "trials/0a/checkpoint.pt"):
        assert bucket.read(f"set-aside/first/{file}") == file.encode()


# When it cannot be reached


@pytest.mark.parametrize("place", [nobody, missing])
def test_nothing_is_trained_without_it(
    s3: Server, place: Callable[[Server], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    line = refused(capsys, STUDY, "--results", place(s3))
    assert time.monotonic() < began + GIVES_UP
    assert line.startswith(f"error: results must be writable, got {Bucket(place(s3))}: ")
    assert "AWS Error" in line
    assert not list(tmp_path.rglob("record.jsonl"))


def test_what_cannot_be_done_raises_but_for_the_question_between_steps(s3: Server) -> None:
    bucket = Bucket(missing(s3))
    for act in (lambda: bucket.write("file", b""), lambda: bucket.append("file", b""), lambda: bucket.read("file")):
        with pytest.raises(OSError, match=r"none/|NO_SUCH_BUCKET"):
            act()
    assert not bucket.shows("study/stop")


# From it


def test_a_study_is_fetched_from_it(s3: Server, uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fetched, bucket, arrived = Fetched(tmp_path), Bucket(uri), Store(tmp_path / "arrived")
    for path in fetched.theirs.folder.rglob("*"):
        if path.is_file():
            bucket.write(str(path.relative_to(fetched.theirs.folder)), path.read_bytes())
    first = f"trials/{fetched.asks[0].trial.id}"
    bucket.write(f"{first}/checkpoint.pt", b"weights")
    bucket.write(f"{first}/prediction.npz", b"a picture")
    _download(bucket, "invented", arrived)
    assert take_over(arrived, fetched.mine, "invented") == 0
    assert fetched.mine.journal("invented") == fetched.theirs.journal("invented")
    assert fetched.reports() == [3, 3]
    assert {path.name for path in (fetched.mine.folder / first).iterdir()} == {"record.jsonl", "prediction.npz"}
    assert {path.name for path in fetched.mine.study_folder("invented").iterdir()} == {"journal.jsonl", "table.md"}
    assert {path.name for path in fetched.mine.trial_folder("").iterdir()} == {each.trial.id for each in fetched.asks}
    assert re.search("the table: .*table.md", capsys.readouterr().out)
