"""A study as a job on a cluster's head: begun, found again, followed to its end."""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from signal import SIGTERM
from typing import TYPE_CHECKING

from platform.commands.exits import MachineFailed, by_signal, say
from platform.commands.remote.connection import LINE, PAUSE_SECONDS, NoAnswer, Reach, answered
from platform.records.one_line import one_line
from platform.records.plain import legible
from platform.records.provenance import COMMIT_VARIABLE, ROOT, commit

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

PASSED = r"(\n|\t|\r\n|\x1b\[[0-9;]*m)"
"""Of a job's log, what a terminal may have as it is."""
LOST_SECONDS = 600.0
"""How long a lost connection is tried again; time that this machine sleeps does not count."""
STOP_SECONDS = 300
"""How long a study may take to stop before Ray kills it: a step, its checkpoints, MLflow's patience."""


@dataclass
class Following:
    """A job whose log is shown, over as many connections as it takes."""

    reach: Reach
    begin: Callable[["JobSubmissionClient"], str]
    """Finds or submits the job."""
    job: str | None = None
    """Its id, once it is known."""
    shown: int = 0
    """Characters of its log that were shown: a new connection goes on behind them."""

    def to_the_end(self) -> "JobDetails":
        """Show the log until the job has ended. Raises NoAnswer while the job is not known, MachineFailed later."""
        deadline: float | None = None
        while True:
            try:
                with self.reach() as client:
                    if self.job is None:
                        self.job = self.begin(client)
                    elif deadline is not None:
                        say("connected again")
                    deadline = None
                    return self._follow(client, self.job)
            except NoAnswer as loss:
                if self.job is None:
                    raise
                if deadline is None:
                    deadline = time.monotonic() + LOST_SECONDS
                    say("connection lost; trying again, while the study goes on")
                if time.monotonic() > deadline:
                    raise MachineFailed(
                        f"the cluster does not answer ({loss})", "the same command attaches again"
                    ) from loss
                time.sleep(PAUSE_SECONDS)

    def _follow(self, client: "JobSubmissionClient", job: str) -> "JobDetails":
        details(client, job)
        with answered():
            asyncio.run(self._show(client, job))
        end = details(client, job)
        if not end.status.is_terminal():
            raise NoAnswer("the head closed the log")
        return end

    async def _show(self, client: "JobSubmissionClient", job: str) -> None:
        known = self.shown
        async for text in client.tail_job_logs(job):
            fresh = text[known:]
            known -= len(text) - len(fresh)
            self.shown += len(fresh)
            # The head is another machine: of what a terminal would obey, colours alone come through.
            print("".join(map(_shown, re.split(PASSED, fresh))), end="", flush=True)


def _shown(text: str) -> str:
    return text if re.fullmatch(PASSED, text) else legible(text)


def submit(client: "JobSubmissionClient", entrypoint: str, name: str, metadata: dict[str, str]) -> str:
    """Send the checkout, less what .gitignore names, and have the head run a command in it; the job's id."""
    job = f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    # Ray waits for seconds only, unless the job's own environment says otherwise.
    environment = {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS), COMMIT_VARIABLE: commit()}
    with answered():
        client.submit_job(
            entrypoint=entrypoint,
            runtime_env={"working_dir": str(ROOT), "env_vars": environment},
            metadata=metadata,
            submission_id=job,
        )
    if metadata:
        say(f"{name} is job {job}; Ctrl-C leaves it running")
    return job


def running(client: "JobSubmissionClient", study: str) -> "JobDetails | None":
    """The youngest job that runs a study, None while none does."""
    jobs = [job for job in all_running(client) if job.metadata and job.metadata["study"] == study]
    return max(jobs, key=lambda job: job.start_time or 0, default=None)


def all_running(client: "JobSubmissionClient") -> list["JobDetails"]:
    """The jobs that run studies."""
    with answered():
        jobs = client.list_jobs()
    return [job for job in jobs if job.metadata and "study" in job.metadata and not job.status.is_terminal()]


def details(client: "JobSubmissionClient", job: str) -> "JobDetails":
    """What the cluster knows of a job. Raises MachineFailed when that is nothing."""
    try:
        with answered():
            return client.get_job_info(job)
    except NoAnswer as answer:
        if "does not exist" in str(answer):
            raise MachineFailed("the cluster was restarted", "the same command goes on from the records") from answer
        raise


def clock(job: "JobDetails") -> str:
    """When a job began, in this machine's time: `Mon 14:05`."""
    return f"{datetime.fromtimestamp((job.start_time or 0) / 1000).astimezone():%a %H:%M}"


def exit_code(end: "JobDetails") -> int:
    """The exit code of a study that has ended. Raises MachineFailed when it was not the study that ended."""
    from ray.job_submission import JobStatus

    if end.status == JobStatus.STOPPED:
        return by_signal(SIGTERM)
    if end.driver_exit_code is None:
        raise MachineFailed(one_line(end.message or "the job failed", LINE))
    code: int = end.driver_exit_code
    return code if code >= 0 else by_signal(-code)
