"""Fixtures that several test modules share."""

import os
import signal
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from platform.records.storage.storage import Folder, Storage
from tests.support import checkout, s3_server, shapes
from tests.support.checkout import Checkout
from tests.support.once import shared_folder

shapes.install()
FEW_SEEDS = 2
"""With no more seeds, the thorough tests are left out."""
NOBODY = 65534
"""A user that owns nothing."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make faults SEEDS=20` strikes with twenty seeds of each fault."""
    parser.addoption("--seeds", type=int, default=2, help="how many seeds of each fault (tests/faults) to run")


def pytest_configure() -> None:
    """Whoever runs the tests under nohup, or in the background, ignores signals that the tests send."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what is thorough unless many seeds are asked for, and have files with slow tests come first.

    So processes that run files side by side end at about the same time.
    """
    if config.getoption("--seeds") <= FEW_SEEDS:
        for item in items:
            if item.get_closest_marker("thorough"):
                item.add_marker(pytest.mark.skip(reason="`make thorough` runs it"))
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def forget_users_code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Forget what a test imports from its folder: the next test's `helper.py` is another one."""
    modules, places = set(sys.modules), [*sys.path]
    yield
    sys.path[:] = places
    written = str(tmp_path_factory.getbasetemp())
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(written):
            del sys.modules[name]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder: each town is rendered once for all processes of the tests.

    Each has a name of its own for it, by which tests know the commands that they started.
    """
    shared = shared_folder(tmp_path_factory) / "cache-of-all"
    shared.mkdir(exist_ok=True)
    named = tmp_path_factory.getbasetemp() / "cache"
    named.symlink_to(shared)
    return named


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A SQLite store with MLflow's schema, which takes a second to make."""
    # A second that few tests should wait for, and the import besides.
    from mlflow import MlflowClient

    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{file}").search_experiments()
    return file.read_bytes()


@pytest.fixture
def uri(tmp_path: Path, empty_store: bytes) -> str:
    """A SQLite store of MLflow's without a run."""
    (tmp_path / "mlflow.db").write_bytes(empty_store)
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def fresh_checkout(tmp_path: Path, cache: Path, empty_store: bytes) -> Checkout:
    """A checkout in which nothing ran yet, but for MLflow, which has laid out its store."""
    made = checkout.make(tmp_path / "checkout", cache)
    (made.root / "mlflow.db").write_bytes(empty_store)
    return made


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3_server.Server]:
    """A server that speaks S3, and the keys to it in this process's environment; nobody may stop it."""
    with pytest.MonkeyPatch.context() as patch, s3_server.Server(tmp_path_factory.mktemp("s3")) as server:
        for name, value in s3_server.KEYS.items():
            patch.setenv(name, value)
        yield server


def folder(request: pytest.FixtureRequest) -> Storage:
    """Results in a folder that is not there yet."""
    return Folder(request.getfixturevalue("tmp_path") / "shared")


def bucket(request: pytest.FixtureRequest) -> Storage:
    """Results below a prefix of its own."""
    # pyarrow takes a moment that most tests need not wait for.
    from platform.records.storage.bucket import Bucket

    return Bucket(request.getfixturevalue("s3").uri(f"lab/{uuid.uuid4().hex}"))


STORAGES: tuple[Callable[[pytest.FixtureRequest], Storage], ...] = (folder, bucket)


@pytest.fixture(params=STORAGES, ids=lambda make: make.__name__)
def storage(request: pytest.FixtureRequest) -> Storage:
    """Every storage in turn, empty."""
    made: Storage = request.param(request)
    return made


@pytest.fixture
def unprivileged(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Gives up root's rights, under which every folder is open, from a call to the test's end."""
    with ExitStack() as stack:

        def give_up(folder: Path) -> None:
            if os.geteuid() == 0:
                for above in (folder, *folder.parents):
                    if above.stat().st_mode & 0o005 != 0o005:
                        stack.callback(above.chmod, above.stat().st_mode)
                        above.chmod(0o755)
                stack.callback(os.seteuid, 0)
                os.seteuid(NOBODY)

        yield give_up
