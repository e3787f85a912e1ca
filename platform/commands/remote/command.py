"""A study on a cluster, from the user's machine: `python -m platform.remote run|stop|fetch`.

The checkout is sent as the working directory of one of Ray's jobs, through the ssh tunnel of `ray dashboard`. The job
is the study command on the head, which no longer needs this machine: whoever attaches follows its log.
"""

import argparse
import shlex
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from platform.commands.before.beside import load
from platform.commands.exits import COMPLETE, BadInput, Parser, by_signal, ending, say
from platform.commands.remote.connection import PAUSE_SECONDS, NoAnswer, answered, reach
from platform.commands.remote.fetching import fetch_study
from platform.commands.remote.job import Following, all_running, clock, details, exit_code, running, submit
from platform.design.loading import StudyFileError
from platform.records.location import RESULTS
from platform.records.one_line import one_line
from platform.records.provenance import ROOT
from platform.records.storage.locks import NoLocks
from platform.records.store import check_study_name

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

HANDED_ON = ("plan", "report", "fresh", "smoke")
"""Options that are handed on to the study command."""


@ending(NoAnswer, NoLocks, StudyFileError)
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    # A terminal that is closed leaves the study as Ctrl-C does, and takes the tunnel down.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    return int(options.command(options))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m platform.remote",
        allow_abbrev=False,
        description="Run a study on the cluster of cluster.yaml, stop it, fetch its results. See docs/cluster.md.",
        epilog="exit codes: those of python -m platform.study, for a study that was followed to its end; 2 also when "
        "no cluster answers, 3 also when the connection or the job is lost, 130 when you leave with Ctrl-C: the study "
        "goes on, and the same command attaches again",
    )
    commands = parser.add_subparsers(required=True, metavar="{run,stop,fetch}")
    run = commands.add_parser("run", allow_abbrev=False, help="begin a study, go on with it, or attach to it")
    run.add_argument("file", type=Path, metavar="FILE", help="a study file of this checkout")
    what = run.add_mutually_exclusive_group()
    what.add_argument("--plan", action="store_true", help="print the plan, checked against the cluster; start nothing")
    what.add_argument("--report", action="store_true", help="write the table again from the records; train nothing")
    what.add_argument("--fresh", action="store_true", help="start over; what there is moves to set-aside, over there")
    run.add_argument("--smoke", action="store_true", help="every row on a tiny shift, some seconds each")
    run.add_argument("--data", metavar="DIR", help="the data root on the cluster's machines")
    run.set_defaults(command=_run)
    stop = commands.add_parser("stop", allow_abbrev=False, help="stop a study after the current step")
    stop.set_defaults(command=_stop)
    fetch = commands.add_parser("fetch", allow_abbrev=False, help="copy a study's table, figures and records to here")
    fetch.add_argument("--to", type=Path, metavar="DIR", default=RESULTS, help="a folder of results (default: results)")
    fetch.set_defaults(command=fetch_study)
    for command in (stop, fetch):
        command.add_argument("study", type=_name, metavar="STUDY", help="its name, or its file")
    for command in (run, stop, fetch):
        command.add_argument(
            "--cluster", type=Path, metavar="FILE", default=Path("cluster.yaml"), help="default: cluster.yaml"
        )
    for command in (run, stop):
        command.add_argument(
            "--dashboard", metavar="URL", help="a dashboard that this machine reaches already; no tunnel is opened then"
        )
    return parser


def _name(study: str) -> str:
    name = Path(study).stem if study.endswith(".py") else study
    try:
        check_study_name(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(one_line(error)) from error
    return name


def _run(options: argparse.Namespace) -> int:
    file = load(options.file)
    name = f"{file.name}-smoke" if options.smoke else file.name
    entrypoint = _entrypoint(options)
    asks_only = options.plan or options.report

    def begin(client: "JobSubmissionClient") -> str:
        job = None if asks_only else running(client, name)
        if job is None:
            return submit(client, entrypoint, name, {} if asks_only else {"study": name})
        if options.fresh:
            raise BadInput(f"{name} is running, and --fresh starts over; stop it first")
        say(f"{name} runs since {clock(job)} with the code of then; Ctrl-C leaves it running")
        assert job.submission_id is not None
        return job.submission_id

    following = Following(reach(options), begin)
    try:
        return exit_code(following.to_the_end())
    except KeyboardInterrupt:
        if following.job is None:
            raise
        say(f"\nleft: {name} goes on; run attaches again, stop ends it, fetch gets results")
        return by_signal(signal.SIGINT)


def _stop(options: argparse.Namespace) -> int:
    name = options.study
    with reach(options)() as client:
        job = running(client, name)
        if job is None or job.submission_id is None:
            others = ", ".join(sorted({job.metadata["study"] for job in all_running(client) if job.metadata}))
            raise BadInput(
                f"{name} is not running on the cluster; {f'what runs is {others}' if others else 'nothing is'}"
            )
        with answered():
            client.stop_job(job.submission_id)
        say(f"{name} stops after the current step; leaving (Ctrl-C) does not change that")
        while not details(client, job.submission_id).status.is_terminal():
            time.sleep(PAUSE_SECONDS)
    say(f"{name} has stopped; run goes on from there")
    return COMPLETE


def _entrypoint(options: argparse.Namespace) -> str:
    """The study command as the head runs it; its folder of results and its MLflow are the head's."""
    path = options.file.resolve()
    if not path.is_relative_to(ROOT):
        raise BadInput(f"the study file must lie in the checkout, {ROOT}, which is sent; got {options.file}")
    steering = [f"--{name}" for name in HANDED_ON if getattr(options, name)]
    steering += ["--data", options.data] if options.data else []
    command = ["python", "-m", "platform.study", str(path.relative_to(ROOT)), "--address", "auto", *steering]
    return shlex.join(command)
