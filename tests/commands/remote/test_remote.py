"""The user's side of a cluster: one line for each mistake."""

import inspect
from pathlib import Path

import pytest
from ray.autoscaler._private import commands

from platform.commands.remote.command import main
from platform.commands.remote.connection import _meaning
from platform.records.provenance import ROOT
from tests.support.checkout import Checkout
from tests.support.cluster.remote_user import refused, with_token
from tests.support.faults.small_study import TEXT


@pytest.fixture
def user(fresh_checkout: Checkout) -> Checkout:
    """A user's machine."""
    return with_token(fresh_checkout)


def test_a_mistake_in_the_file_is_said_before_anything_else(user: Checkout) -> None:
    user.write("mistake.py", TEXT.replace("seeds=2", "seedz=2"))
    line = refused(user, "run", "studies/mistake.py", "--cluster", "there/is/none.yaml")
    assert "Did you mean 'seeds'?" in line


def test_a_study_file_that_would_not_be_sent(user: Checkout, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.py").write_text(TEXT)
    assert "must lie in the checkout" in refused(user, "run", str(tmp_path / "elsewhere.py"))


def test_without_a_cluster_file(user: Checkout) -> None:
    assert "there is no cluster file cluster.yaml" in refused(user, "stop", "quickstart")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cluster.yaml must be filled in, got "),
        ("cluster_name: studies\nmax_workers 4\n", "line 3"),
        ("a shopping list", "has a section provider"),
        ("provider: {type: local, head_ip: 127.0.0.1, worker_ips: []}\n", "must say as whom to log in"),
    ],
)
def test_a_cluster_file_that_cannot_be_used(user: Checkout, text: str | None, said: str) -> None:
    (user.root / "cluster.yaml").write_text((ROOT / "cluster.yaml").read_text() if text is None else text)
    assert said in refused(user, "fetch", "quickstart")


def test_without_a_token(user: Checkout) -> None:
    Path(user.environment["HOME"], ".ray", "auth_token").unlink()
    assert "ray get-auth-token --generate" in refused(user, "stop", "small")


@pytest.mark.parametrize("command", ["run studies/quickstart.py", "fetch quickstart"])
def test_a_cluster_that_is_not_up(user: Checkout, command: str, tmp_path: Path) -> None:
    (user.root / "cluster.yaml").write_text(
        "cluster_name: nobody\nprovider: {type: local, head_ip: 127.0.0.1, worker_ips: []}\nauth: {ssh_user: nobody}\n"
    )
    places = {"RAY_TMPDIR": str(tmp_path), "TMPDIR": str(tmp_path)}
    line = refused(user, *command.split(), **places)
    assert "error: ssh does not reach the head: " in line
    assert list(tmp_path.glob("cluster-*")) == []


def test_what_ray_says_of_a_cluster_in_a_cloud_that_is_not_up() -> None:
    said = "  File commands.py, line 1\nRuntimeError: Head node of cluster (studies) not found!\n"
    assert "Head node of cluster ({}) not found!" in inspect.getsource(commands)
    assert _meaning(said, Path("my.yaml")) == "the cluster 'studies' is not up; start it with ray up my.yaml"


def test_what_ray_says_of_a_head_that_answers_nothing() -> None:
    said = "The exception is: Command failed:\n\n  ssh -tt -i key ubuntu@192.0.2.1 bash\n"
    assert "gets no answer from the head" in _meaning(said, Path("my.yaml"))


@pytest.mark.parametrize(
    ("url", "said"), [("127.0.0.1:8265", "must be a URL"), ("http://127.0.0.1:1", "no Ray dashboard answers at")]
)
def test_a_dashboard_that_does_not_answer(user: Checkout, url: str, said: str) -> None:
    assert said in refused(user, "stop", "small", "--dashboard", url)


def test_help_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "130 when you leave" in " ".join(capsys.readouterr().out.split())
