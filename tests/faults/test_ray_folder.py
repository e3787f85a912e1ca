"""Ray's folder is deleted under a running study, as cleaners of /tmp do it."""

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.faults import moments
from tests.support.faults.processes import Machine

pytestmark = pytest.mark.slow
ONE_BY_ONE = [pytest.param(what, marks=pytest.mark.thorough) for what in ("session", "sockets", "logs", "code")]


@pytest.fixture
def ray(counted: Machine) -> Iterator[Path]:
    """A folder for Ray, with a short path."""
    folder = Path("/tmp", f"r{counted.mark[:8]}")
    folder.mkdir()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def remove(folder: Path) -> None:
    """Remove a folder, with what Ray puts there meanwhile."""
    for _ in range(50):
        with suppress(OSError):
            shutil.rmtree(folder)
        if not folder.exists():
            return
    raise AssertionError(folder)


@pytest.mark.parametrize("what", ["all", *ONE_BY_ONE])
def test_a_study_ends_within_a_minute_and_goes_on(counted: Machine, ray: Path, tmp_path: Path, what: str) -> None:
    place = tmp_path / "moments"
    place.mkdir()
    wanted, told = place / "Second 1.wanted", place / "Second 1.worker"
    wanted.touch()
    command = counted.start(**{moments.PLACE: str(place)}, RAY_TMPDIR=str(ray), **moments.of(slots=2))
    while command.running and not told.exists():
        time.sleep(0.02)
    assert command.running, command.output
    (session,) = {folder.resolve() for folder in ray.rglob("session_*") if (folder / "sockets").is_dir()}
    (code,) = ray.glob("study-*/platform")
    places = {"session": [session], "all": list(ray.iterdir()), "code": [code.parent]}
    for folder in places.get(what, [session / what]):
        remove(folder)
    deleted = time.monotonic()
    time.sleep(2)
    wanted.unlink()
    assert command.wait() == 3, command.output
    print(f"exit after {time.monotonic() - deleted:.1f} s")
    said = " ".join(command.output.split())
    # Whoever needs what is gone at that very moment names it, too.
    gone = rf"{ray}/\S+(, which Ray needs, was deleted; have RAY_TMPDIR name a folder that nothing cleans up|: No such)"
    assert re.search(f"error: .*{gone}", said), said
    assert said.count("error:") == 1
    assert "the same command goes on from here" in said
    assert "Traceback" not in said
    assert counted.left_behind() == []
    command = counted.start(RAY_TMPDIR=str(ray))
    assert command.wait() == 0, command.output
