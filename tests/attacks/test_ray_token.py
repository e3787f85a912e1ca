"""The token of the user's clusters: whoever reads it may run code there, so nobody else does."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from platform.commands.before.token import close_token
from platform.commands.exits import BadInput
from tests.conftest import NOBODY

TOKEN = "0" * 64
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to another user")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that others may look into, as in many labs, with a token as `ray get-auth-token --generate` leaves it."""
    folder = tmp_path / "home"
    (folder / ".ray").mkdir(parents=True)
    for path in (folder, folder / ".ray"):
        path.chmod(0o755)
    (folder / ".ray" / "auth_token").write_text(TOKEN)
    (folder / ".ray" / "auth_token").chmod(0o644)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    return folder


def modes(home: Path) -> tuple[int, int]:
    return (home / ".ray").stat().st_mode & 0o777, (home / ".ray" / "auth_token").stat().st_mode & 0o777


@as_root
def test_another_user_does_not_read_it(
    home: Path, unprivileged: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    close_token()
    assert "note: others could read" in capsys.readouterr().err
    assert modes(home) == (0o700, 0o600)
    unprivileged(home)
    with pytest.raises(PermissionError):
        (home / ".ray" / "auth_token").read_text()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o622, 0o700, 0o600])
def test_any_mode_is_closed(home: Path, mode: int, capsys: pytest.CaptureFixture[str]) -> None:
    (home / ".ray" / "auth_token").chmod(mode)
    close_token()
    assert modes(home) == (0o700, mode & 0o700)
    assert bool(capsys.readouterr().err) == bool(mode & 0o077)
    close_token()
    assert capsys.readouterr().err == "", "it is said once"


@pytest.mark.parametrize("part", [".ray", ".ray/auth_token"])
def test_links_to_what_is_ones_own_are_closed_where_they_lead(home: Path, part: str) -> None:
    (home / part).rename(home / "elsewhere")
    (home / part).symlink_to(home / "elsewhere")
    close_token()
    assert modes(home) == (0o700, 0o600)


@as_root
@pytest.mark.parametrize("linked", [False, True], ids=["its place taken", "a link to it"])
@pytest.mark.parametrize("part", [".ray", ".ray/auth_token"])
def test_what_is_another_users_is_refused(home: Path, part: str, linked: bool) -> None:
    os.chown(home / part, NOBODY, NOBODY)
    if linked:
        (home / part).rename(home / "theirs")
        (home / part).symlink_to(home / "theirs")
    with pytest.raises(BadInput, match=rf"must be yours, got .*{part} of the user {NOBODY}; delete it"):
        close_token()


def test_what_holds_no_token_is_refused(home: Path) -> None:
    (home / ".ray" / "auth_token").write_text("")
    with pytest.raises(BadInput, match="got nothing in"):
        close_token()
    (home / ".ray" / "auth_token").unlink()
    os.mkfifo(home / ".ray" / "auth_token")
    with pytest.raises(BadInput, match="got nothing in"):
        close_token()


def test_a_home_that_everybody_may_write_to_is_refused(home: Path) -> None:
    home.chmod(0o777)
    with pytest.raises(BadInput, match=rf"got {home}, which everybody may write to .*; chmod o-w that"):
        close_token()


@pytest.mark.parametrize("missing", ["auth_token", ".ray"])
def test_without_a_token_there_is_nothing_to_close(home: Path, missing: str) -> None:
    (home / ".ray" / "auth_token").unlink()
    if missing == ".ray":
        (home / ".ray").rmdir()
    close_token()
    assert (home / ".ray").exists() == (missing == "auth_token"), "and nothing is made"


def test_a_token_that_is_named_is_closed_and_its_folder_left_as_it_is(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    named = home / "keys" / "token"
    named.parent.mkdir(mode=0o755)
    (home / ".ray" / "auth_token").rename(named)
    (home / ".ray").chmod(0o777)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(named))
    close_token()
    assert f"others could read {named} until now" in capsys.readouterr().err
    assert [path.stat().st_mode & 0o777 for path in (named.parent, named)] == [0o755, 0o600]
    named.parent.chmod(0o777)
    with pytest.raises(BadInput, match=rf"got {named.parent}, which everybody may write to"):
        close_token()
