"""A study's submission kit, from its records: what venues ask, and all that the table rests on."""

import getpass
import socket
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from platform.commands.exits import COMPLETE, INCOMPLETE, BadInput, bad_input, say
from platform.commands.report import in_order, recorded
from platform.commands.terminal.text import shown
from platform.design.loading import StudyFile
from platform.records.location import check_folder
from platform.records.provenance import ROOT
from platform.records.storage.files import write_whole
from platform.records.store import PREDICTIONS, Store

ANSWER_SECONDS = 10
"""How long git may take to say whose checkout this is."""


def submission(file: StudyFile, store: Store, named: Path) -> int:
    """Write the kit of a study to a folder that is not there yet, or is empty; the exit code."""
    folder = _empty(named)
    header, ledger = recorded(file, store, "--submission")
    journal = store.journal(header.name)
    # scipy and matplotlib take seconds to import.
    from platform.results.submission.kit import Recorded, kit

    records = {ask.trial.id: store.read(ask.trial.id) for ask in journal.asks}
    known = {trial: record for trial, record in records.items() if record is not None}
    asks = tuple(in_order(header, ledger.asks))
    found = Recorded(header, journal, asks, known, lambda trial: store.fetched(trial, PREDICTIONS))
    if not any(record.reports for record in found.records.values()):
        raise BadInput(
            f"a submission kit needs trials that have reported, got none of {header.name}; run the study first"
        )
    files, missing = kit(found, _names(file), _constraints(), datetime.now(UTC).date().isoformat())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_whole(folder / name, content)
    except OSError as error:
        raise BadInput(
            f"--submission must name a folder that can be written, got {shown(named)} ({error.strerror}); name another"
        ) from error
    print(f"{len(files)} files in {shown(named)}; README.md says what each is, and what to fill in by hand")
    if missing:
        say(f"results are missing: {', '.join(missing)}; run the study to its end, and make the kit again")
    return INCOMPLETE if missing else COMPLETE


def _empty(named: Path) -> Path:
    """The folder. Raises BadInput where it holds something, or cannot be one."""
    with bad_input():
        check_folder("--submission must name a folder", named)
    if named.exists() and any(named.iterdir()):
        raise BadInput(f"--submission must name a folder that is empty or not there yet, got {named}; name another")
    return named


def _names(file: StudyFile) -> list[str]:
    """What would say who made the kit: this machine, its user, the checkout's place, and git's author and remotes."""
    names = [socket.gethostname(), str(ROOT), str(file.path.resolve().parent)]
    with suppress(KeyError, OSError):
        names.append(getpass.getuser())
    with suppress(RuntimeError):
        names += [str(Path.home()), Path.home().name]
    return [*names, *_git()]


def _git() -> list[str]:
    command = ["git", "-c", "safe.directory=*", "config", "--get-regexp", r"^(user\.(name|email)|remote\..*\.url)$"]
    try:
        answer = subprocess.run(
            command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [value for line in answer.stdout.splitlines() if (value := line.partition(" ")[2].strip())]


def _constraints() -> bytes:
    try:
        return (ROOT / "constraints.txt").read_bytes()
    except OSError:
        return b""
