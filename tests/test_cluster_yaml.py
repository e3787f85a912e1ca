"""`cluster.yaml` passes Ray's validation, for AWS and for machines of one's own, and opens nothing to the world."""

import os
import re
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.support.cluster.configuration import AWS, FILE, OWN_MACHINES, exchanged, filled_in, section

TEXT = FILE.read_text()
TOP = TEXT[: TEXT.index("# ---- Fill in until here")]
COMMANDS = ("initialization_commands", "setup_commands", "head_start_ray_commands", "worker_start_ray_commands")
ONLY_ON_CLOUDS = {"available_node_types", "head_node_type"}
"""Keys that Ray refuses for machines of one's own."""


@pytest.fixture(params=[TEXT, exchanged(TEXT)], ids=["AWS", "own machines"])
def configured(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The file as Ray reads it."""
    return read(request.param)


def read(text: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(text)
    return values


def start(configured: dict[str, Any], node: str) -> str:
    """The command that starts Ray on a node."""
    (command,) = [command for command in configured[f"{node}_start_ray_commands"] if "ray start" in command]
    return str(command)


def test_ray_takes_it(configured: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FILE.parent)
    prepared = prepare_config(configured)
    validate_config(prepared)
    workers = {name: kind for name, kind in prepared["available_node_types"].items() if kind["max_workers"] > 0}
    assert len(workers) == 1


def test_ray_refuses_a_mistake() -> None:
    """So that the test above says something."""
    mistaken = prepare_config(read(TEXT) | {"idle_timeout": 3})
    with pytest.raises(Exception, match="idle_timeout"):
        validate_config(mistaken)


def test_workers_on_aws_come_and_go() -> None:
    configured = prepare_config(read(TEXT))
    head, worker = (configured["available_node_types"][name] for name in ("head", "worker"))
    assert head["resources"] == {"CPU": 0}
    assert (head["max_workers"], worker["min_workers"], worker["max_workers"]) == (0, 0, configured["max_workers"])
    assert worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert configured["idle_timeout_minutes"] <= 5
    assert configured["provider"]["cache_stopped_nodes"] is False


def test_sections_say_the_same() -> None:
    """What one section says, the other does too, but for what Ray takes on one side only."""
    aws, own = read(TOP + section(TEXT, AWS)), read(TOP + section(exchanged(TEXT), OWN_MACHINES))
    assert aws.keys() == own.keys() | ONLY_ON_CLOUDS
    assert not own.keys() & ONLY_ON_CLOUDS
    assert aws["initialization_commands"][0] == own["initialization_commands"][0] == aws["metadata"]["settings"]


def test_exchange_touches_nothing_else() -> None:
    one, other = read(TEXT), read(exchanged(TEXT))
    differing = {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
    assert differing == {"provider", "auth", "initialization_commands"} | ONLY_ON_CLOUDS


def test_all_that_is_to_fill_in_stands_at_the_top() -> None:
    below = TEXT.removeprefix(TOP)
    assert "FILL-IN" in TOP
    assert not re.search(r"FILL-IN| &[a-z]|\bami-|\bfs-|us-west|large|192\.0\.2", below)
    named = re.findall(r"^ +\w+: &(\w+) ", TOP, flags=re.MULTILINE)
    assert sorted(named) == sorted(set(re.findall(r"[:-] \*(\w+)", below)))


def test_commands_are_shell(configured: dict[str, Any]) -> None:
    for name in COMMANDS:
        for command in configured[name]:
            subprocess.run(["bash", "-n", "-c", command], check=True)


def test_filling_in_what_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no_such_place"):
        filled_in(TEXT, no_such_place="1")


def test_nothing_listens_to_the_world(configured: dict[str, Any]) -> None:
    commands = "\n".join(str(configured[name]) for name in COMMANDS)
    assert "0.0.0.0" not in commands
    assert "--dashboard-host=127.0.0.1" in start(configured, "head")
    hosts = re.findall(r"--host[ =](\S+)", commands)
    assert hosts == ["127.0.0.1"]
    # Ray's own group opens ssh alone; rules of ours would be added to it.
    assert "security_group" not in configured["provider"]


def test_every_start_asks_for_the_token(configured: dict[str, Any]) -> None:
    for node in ("head", "worker"):
        assert "RAY_AUTH_MODE=token " in start(configured, node)
    assert configured["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


def test_head_starts_the_autoscaler_that_starts_workers(configured: dict[str, Any]) -> None:
    assert "RAY_enable_autoscaler_v2=0 ray start --head" in start(configured, "head")
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in start(configured, "head")


def test_old_processes_end_before_new_ones_start(configured: dict[str, Any]) -> None:
    for node in ("head", "worker"):
        assert configured[f"{node}_start_ray_commands"][0] == "ray stop"


@pytest.mark.parametrize("line", re.findall(r"^    #(stage: &stage .*)$", TEXT, flags=re.MULTILINE))
def test_every_node_stages_data_before_its_ray_starts(line: str) -> None:
    (default,) = re.findall(r"^    stage: .*$", TEXT, flags=re.MULTILINE)
    configured = read(TEXT.replace(default, f"    {line}"))
    command = line.partition("&stage ")[2]
    subprocess.run(["bash", "-n", "-c", command], check=True)
    for node in ("head", "worker"):
        commands = configured[f"{node}_start_ray_commands"]
        assert commands.index(command) < commands.index(start(configured, node))


@pytest.mark.parametrize("taken", [False, True])
def test_another_programs_port_is_not_taken_for_mlflows(configured: dict[str, Any], taken: bool) -> None:
    (command,) = [command for command in configured["head_start_ray_commands"] if "another program" in command]
    with socket.socket() as program:
        # Without listening it keeps the port from others, and refuses connections.
        program.bind(("127.0.0.1", 0))
        if taken:
            program.listen()
        port = program.getsockname()[1]
        hasty = command.replace("10", "2").replace("tcp/127.0.0.1/5000", f"tcp/127.0.0.1/{port}")
        assert hasty.count(f"/{port}") == 1
        done = subprocess.run(["bash", "-c", hasty], capture_output=True, text=True, check=False)
    assert (done.returncode, "is another program's" in done.stdout) == ((1, True) if taken else (0, False))


GPU_TOOLS = {
    "nvidia-smi": 'test -z "$NO_GPU"',
    # As the true one: asked on its standard input, it fails while no daemon runs.
    "nvidia-cuda-mps-control": """
if [ "$1" = -d ]; then
    test ! -e ~/daemon && touch ~/daemon && echo "daemon $* $CUDA_MPS_PIPE_DIRECTORY $CUDA_MPS_LOG_DIRECTORY" >> ~/calls
    test -d "$CUDA_MPS_PIPE_DIRECTORY" && test -d "$CUDA_MPS_LOG_DIRECTORY"
else
    test "$(cat)" = get_server_list && test -e ~/daemon
fi""",
}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a node whose GPU's tools note what they are asked."""
    (tmp_path / "cluster").mkdir()
    for name, text in GPU_TOOLS.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n", encoding="ascii")
        (tmp_path / name).chmod(0o755)
    user = f"nobody-{uuid.uuid4().hex[:8]}"
    yield {"HOME": str(tmp_path), "USER": user, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    shutil.rmtree(f"/tmp/cluster-{user}", ignore_errors=True)


def started(configured: dict[str, Any], on: str, node: dict[str, str]) -> str:
    """Run on a node what `ray up` runs there up to Ray, as far as MPS is concerned; what Ray's shell knows of MPS."""
    commands = configured[f"{on}_start_ray_commands"]
    (mps,) = [command for command in commands if "nvidia-cuda-mps-control" in command]
    assert 0 < commands.index(mps) < commands.index(start(configured, on))
    environment, settings = configured["setup_commands"][0], configured["initialization_commands"][0]
    for command in (settings, environment, f". ~/cluster/environment.sh\n{mps}"):
        subprocess.run(["bash", "-c", command], env=node, check=True)
    shown = ". ~/cluster/environment.sh; env | { grep CUDA_ || true; } | sort"
    return subprocess.run(["bash", "-c", shown], env=node, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("on", ["head", "worker"])
@pytest.mark.parametrize("text", [TEXT, exchanged(TEXT)], ids=["AWS", "own machines"])
def test_mps_runs_before_ray_where_it_is_asked_for(text: str, on: str, node: dict[str, str]) -> None:
    calls, folder = Path(node["HOME"]) / "calls", f"/tmp/cluster-{node['USER']}/mps"
    assert "export MPS=\n" in text
    for without in (text, filled_in(text, MPS="no")):
        assert started(read(without), on, node) == ""
    assert not calls.exists()
    asking = read(filled_in(text, MPS="yes"))
    found = f"CUDA_MPS_LOG_DIRECTORY={folder}/log\nCUDA_MPS_PIPE_DIRECTORY={folder}\n"
    assert started(asking, on, node | {"NO_GPU": "1"}) == found
    assert not calls.exists()
    # A second `ray up` finds the daemon, with which trials may be running.
    for _ in range(2):
        assert started(asking, on, node) == found
        assert calls.read_text() == f"daemon -d {folder} {folder}/log\n"
    assert Path(f"/tmp/cluster-{node['USER']}").stat().st_mode & 0o077 == 0


def test_a_daemon_that_does_not_start_ends_the_start(node: dict[str, str]) -> None:
    (Path(node["HOME"]) / "nvidia-cuda-mps-control").write_text("#!/bin/bash\nexit 1\n", encoding="ascii")
    with pytest.raises(subprocess.CalledProcessError):
        started(read(filled_in(TEXT, MPS="yes")), "worker", node)


def test_no_trial_gets_a_part_of_the_multiprocessors() -> None:
    """By which its bits would depend on how many share the GPU."""
    assert "THREAD_PERCENTAGE" not in TEXT


def test_no_results_or_environment_are_copied(configured: dict[str, Any]) -> None:
    copied = {Path(local) for local in configured["file_mounts"].values()}
    assert all((FILE.parent / path).exists() for path in copied if not str(path).startswith("~"))
    assert not copied & {Path(), Path("results"), Path(".venv"), Path("mlflow.db")}
    assert "__pycache__" in configured["rsync_exclude"]


def test_own_machines_keep_the_names_of_the_file() -> None:
    text = filled_in(exchanged(TEXT), head_ip="10.1.1.1", worker_ips="[10.1.1.2]", ssh_user="me", MLFLOW_STORE="x://y")
    configured = prepare_config(read(text))
    assert configured["provider"] == {"type": "local", "head_ip": "10.1.1.1", "worker_ips": ["10.1.1.2"]}
    assert configured["auth"]["ssh_user"] == "me"
    assert "export MLFLOW_STORE=x://y\n" in configured["initialization_commands"][0]
    assert configured["max_workers"] == 1
