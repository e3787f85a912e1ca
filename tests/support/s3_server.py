"""A real server that speaks S3 over HTTP, with a bucket in its memory, that can be killed, frozen and thawed."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Self

KEYS = {
    "AWS_ACCESS_KEY_ID": "test-key",
    "AWS_SECRET_ACCESS_KEY": "test-secret",
    # Amazon's tools would ask the machine that they run on who they are.
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What commands need in their environment."""
BUCKET = "results"
REQUEST = re.compile(r'"(?:\x1b\[\d+m)*([A-Z]+) /')
"""A line of the server's log, which is coloured by how it answered."""


class Server:
    """moto's server on a free port of this machine."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "s3.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def uri(self, prefix: str, bucket: str = BUCKET) -> str:
        """Results below a prefix."""
        return f"s3://{bucket}/{prefix}?endpoint_override=127.0.0.1:{self.port}&scheme=http&region=us-east-1"

    def start(self) -> Self:
        """Start, wait until it answers, and make the bucket."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
                stdout=output,
                stderr=output,
                env=os.environ | KEYS,
                start_new_session=True,
            )
        bucket = urllib.request.Request(f"http://127.0.0.1:{self.port}/{BUCKET}", method="PUT")
        for _ in range(600):
            with suppress(OSError), urllib.request.urlopen(bucket, timeout=1):
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        self.kill()
        raise RuntimeError(self.log.read_text())

    def kill(self) -> None:
        """SIGKILL, with which everything is lost."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def freeze(self) -> None:
        """Let the server take calls and answer none, until it is thawed."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)

    def requests(self) -> Counter[str]:
        """How often each kind of request was answered so far."""
        return Counter(found[1] for found in REQUEST.finditer(self.log.read_text()))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
