"""What a person sees in `mlflow ui`: started at the root, in a real browser."""

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from platform.records.record import Phase
from platform.records.store import Store
from platform.results.mirror.tracker import Tracker
from tests.support import invented_study
from tests.support.mlflow_server import Server
from tests.support.patience import PATIENCE
from tests.support.synthetic_study import ARMS, ask, study_header

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("chromium") and shutil.which("chromedriver")),
        reason="needs chromium and chromedriver (Debian: chromium-driver) on the path",
    ),
]

# Without the background flags Chromium looks up its maker's hosts at every start.
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1800,1400",
]  # fmt: skip


class Browser:
    """Headless Chromium, driven over the W3C WebDriver protocol, which needs no library."""

    def __init__(self, profile: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL)
        self._wait(lambda: self._call("GET", "/status")["ready"])
        options = {"args": [*FLAGS, f"--user-data-dir={profile}"], "binary": shutil.which("chromium")}
        capabilities = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        self.session = f"/session/{self._call('POST', '/session', capabilities)['sessionId']}"

    def close(self) -> None:
        try:
            self._call("DELETE", self.session)
        finally:
            self.process.terminate()
            self.process.wait()

    def open(self, url: str) -> None:
        """Show a page from scratch, also where only the part after `#` differs."""
        self._call("POST", f"{self.session}/url", {"url": "about:blank"})
        self._call("POST", f"{self.session}/url", {"url": url})

    def run(self, script: str) -> Any:
        """What a JavaScript function body returns."""
        return self._call("POST", f"{self.session}/execute/sync", {"script": script, "args": []})

    def text(self) -> str:
        """What the page shows, as text."""
        return str(self.run("return document.body.innerText"))

    def wait_for(self, *words: str) -> str:
        """The page's text, once it shows all of these."""
        self._wait(lambda: all(word in self.text() for word in words))
        return self.text()

    def screenshot(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self._call("GET", f"{self.session}/screenshot")))

    def _call(self, verb: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=verb)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)["value"]

    def _wait(self, condition: Any) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if condition():
                    return
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise TimeoutError(self.text())
            time.sleep(0.2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the MLflow store of a study of five arms: four search trials and three seeds of each."""
    folder = tmp_path_factory.mktemp("ui")
    header = study_header("quickstart")
    tracker = Tracker(f"sqlite:///{folder / 'mlflow.db'}", header, Store(folder / "results"))
    phases: list[tuple[Phase, int]] = [("search", header.search_trials), ("confirm", header.seeds)]
    for asked in [ask(arm, phase, number) for arm in ARMS for phase, trials in phases for number in range(trials)]:
        is_stopped = asked.phase == "search" and asked.number > 1
        tracker.hear("begin", asked, invented_study.stopped(asked) if is_stopped else invented_study.record(asked))
    assert not tracker.close(patience=60)
    return folder


@pytest.fixture(scope="module")
def ui(folder: Path) -> Iterator[str]:
    with Server(folder, "ui") as server:
        yield server.uri


@pytest.fixture(scope="module")
def browser(folder: Path) -> Iterator[Browser]:
    browser = Browser(folder / "profile")
    try:
        yield browser
    finally:
        browser.close()


def test_the_runs_of_a_study_lie_under_it_by_arm_and_seed(folder: Path, ui: str, browser: Browser) -> None:
    names = [f"{arm} seed {seed}" for arm in ARMS for seed in (1, 2, 3)]
    where = urllib.parse.urlencode({"workflowType": "machine_learning", "searchFilter": "tags.phase = 'confirm'"})
    browser.open(f"{ui}/#/experiments/1/runs?{where}")
    browser.wait_for("matching runs", "quickstart.py")
    browser.run(
        "const links = [...document.querySelectorAll('a[href*=\"/runs/\"]')];"
        "const study = links.find(link => link.innerText.trim() == 'quickstart');"
        "study.closest('.ag-cell-value').querySelector('button').click()"
    )
    text = browser.wait_for(*names)
    browser.screenshot(folder / "runs.png")
    assert "search" not in text.split("matching runs")[0].split("Run Name")[1]


def test_compare_shows_arms_side_by_side(folder: Path, ui: str, browser: Browser) -> None:
    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    confirm = client.search_runs(["1"], "tags.phase = 'confirm'", order_by=["tags.arm", "tags.seed"])
    chosen = {"runs": json.dumps([run.info.run_id for run in confirm]), "experiments": json.dumps(["1"])}
    browser.open(f"{ui}/#/compare-runs?{urllib.parse.urlencode(chosen)}")
    # The plot, which comes last, cuts names to ten letters.
    text = browser.wait_for("Comparing 15 Runs", "test/miou", "target supervised seed 3", "lightweigh\n")
    browser.screenshot(folder / "compare.png")
    rows = {row[0]: row[1:] for row in (line.split("\t") for line in text.splitlines()) if len(row) == 16}
    assert rows["arm"] == [arm for arm in sorted(ARMS) for _ in range(3)]
    assert rows["seed"] == ["1", "2", "3"] * 5
    assert rows["beta"] == ["0.0117"] * 3 + [""] * 12
    # The metrics' table draws only the columns in sight, three decimals each.
    metrics = text.split("\nMetrics\n")[1].split("\nArtifacts\n")[0].splitlines()
    assert {"source/miou", "final/source/miou", "test/miou", "test/accuracy"} <= set(metrics)
    for run in confirm[:3]:
        assert f"{run.data.metrics['test/miou']:.3f}".rstrip("0") in metrics
    # The plot opens with the arm and the selector.
    plot = text.split("Parameters:")[1].split("Run details")[0]
    assert "arm" in plot
    assert "source/miou" in plot
