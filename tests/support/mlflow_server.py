"""A real MLflow server over HTTP, started as a user does, that can be killed, emptied, frozen and started again."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from platform.records.provenance import ROOT


class Server:
    """`python -m mlflow server`, or `ui`, at the checkout's root, on a free port of this machine."""

    def __init__(self, folder: Path, command: str = "server", artifacts: Sequence[str] = ()) -> None:
        """`artifacts` are the options that say where files go: by default through the server, into its folder."""
        self.folder = folder
        self.command = command
        self.artifacts = artifacts or ("--artifacts-destination", str(folder / "artifacts"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Start and wait until it answers."""
        store = f"sqlite:///{self.folder / 'mlflow.db'}"
        arguments = ["--backend-store-uri", store, "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        if self.command == "server":
            arguments += self.artifacts
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        # As the README has it; with its runner of jobs it starts seven more processes.
        environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
        with (self.folder / f"{self.command}.log").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", self.command, *arguments],
                cwd=ROOT,
                env=environment | {"MLFLOW_DISABLE_TELEMETRY": "true"},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=1):
                    return self
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.2)
        self.kill()
        raise RuntimeError((self.folder / f"{self.command}.log").read_text())

    def kill(self) -> None:
        """SIGKILL to the server and its workers."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def empty(self) -> None:
        """Throw the database of a killed server away."""
        (self.folder / "mlflow.db").unlink()

    def freeze(self) -> None:
        """Let the server take calls and answer none, until it is thawed."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
