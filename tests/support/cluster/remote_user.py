"""The machine of a user whose cluster is elsewhere: a checkout with a token, and the command that goes there."""

import re
import subprocess
import sys
from dataclasses import replace

from tests.support.checkout import Checkout
from tests.support.patience import PATIENCE

TOKEN = "0123456789abcdef" * 2


def with_token(made: Checkout) -> Checkout:
    """A checkout of a user who has a token, in a home of their own."""
    home = made.root.parent / "home"
    (home / ".ray").mkdir(parents=True)
    (home / ".ray" / "auth_token").write_text(TOKEN)
    (home / ".ray" / "auth_token").chmod(0o600)
    return replace(made, environment=without_ray(made.environment) | {"HOME": str(home)})


def without_ray(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith("RAY_")}


def answer(checkout: Checkout, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run the command to its end: exit code, standard output, standard error."""
    ended = subprocess.run(
        [sys.executable, "-m", "platform.remote", *arguments],
        cwd=checkout.root,
        env=checkout.environment | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


def refused(checkout: Checkout, *arguments: str, **environment: str) -> str:
    """The one line with which the command refuses."""
    code, output, error = answer(checkout, *arguments, **environment)
    assert code == 2, error
    assert output == ""
    assert re.fullmatch(r"error: [^\n]+\n", error), error
    return error
