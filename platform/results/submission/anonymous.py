"""Records without what says whose they are: hosts, addresses, users, paths, e-mail, remote URLs.

Trials keep their ids, which are hashes of all that decides them: what a hyperparameter or a shift's own fields say
cannot be replaced, and is looked for instead, see `left`.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping

from platform.records.record import ArmHeader, End, Record, StudyHeader

GENERIC = {"root", "user", "users", "admin", "ubuntu", "home", "node", "localhost", "test", "data", "main", "town"}
"""Names that tell nobody from anybody, and are words of other texts."""
SHORTEST = 4
"""Characters of a name that is looked for in texts."""
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
REMOTE = re.compile(r"(?:\b(?:https?|ssh|git)://)?(?:[\w.-]+@)?\b(?:github|gitlab|bitbucket)\.\w+[:/][\w./-]*")
ADDRESS = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?(?![\w.])")
HOME = re.compile(
    r"(?<![\w.:/])/(?:home|Users|root|mnt|media|scratch|data|datasets|work|workspace|nfs|tmp|gpfs|lustre|srv|opt|var)"
    r"(?:/[\w.@+ -]*[\w.@+-])+"
)
"""A path that is somebody's machine's, by the folder that it begins with."""


@dataclasses.dataclass(frozen=True)
class Disguise:
    """What stands for what."""

    machines: Mapping[str, str]
    """`machine 1` for a host's name or a node's address."""
    names: tuple[str, ...] = ()
    """Further names that must not appear: of users, of homes, of git's author and remotes."""

    def text(self, said: str) -> str:
        """A text in which each of them is replaced."""
        said = EMAIL.sub("<e-mail>", REMOTE.sub("<remote>", said))
        said = HOME.sub(lambda path: f"<path>/{path[0].rpartition('/')[2]}", said)
        for name in sorted(filter(_telling, self.names), key=len, reverse=True):
            said = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "<name>", said)
        for host, machine in self.machines.items():
            if _telling(host):
                said = re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", machine, said)
        return ADDRESS.sub("<address>", said)

    def record(self, record: Record) -> Record:
        """A record whose host, nodes and reasons tell nobody."""
        provenance = {name: self.text(value) for name, value in record.provenance.items() if name != "host"}
        if host := record.provenance.get("host"):
            provenance["host"] = self.machines.get(host, "machine")
        reports = tuple(
            dataclasses.replace(report, node=self.machines.get(report.node, "machine") if report.node else "")
            for report in record.reports
        )
        return dataclasses.replace(record, provenance=provenance, reports=reports, end=self.end(record.end))

    def end(self, end: End | None) -> End | None:
        """An end whose reason tells nobody."""
        return None if end is None else dataclasses.replace(end, reason=self.text(end.reason))

    def header(self, header: StudyHeader) -> StudyHeader:
        """A header whose texts tell nobody; names of rows stay, since records go by them."""

        def arm(each: ArmHeader) -> ArmHeader:
            given = {name: self.text(value) for name, value in each.given.items()}
            return dataclasses.replace(each, given=given)

        return dataclasses.replace(
            header,
            question=self.text(header.question),
            source=self.text(header.source),
            arms=tuple(map(arm, header.arms)),
        )


def disguise(records: Iterable[Record], names: Iterable[str] = ()) -> Disguise:
    """What to call the machines of records, in the order in which they are met, and which names to leave out."""
    hosts = dict.fromkeys(
        host
        for record in records
        for host in (record.provenance.get("host", ""), *(report.node for report in record.reports))
        if host
    )
    return Disguise({host: f"machine {number}" for number, host in enumerate(hosts, start=1)}, tuple(names))


def left(files: Mapping[str, bytes], worn: Disguise) -> list[str]:
    """The files in which something may still say whose they are, each with what was found there."""
    found = []
    for name, content in files.items():
        text = content.decode("utf-8", errors="replace")
        names = (*worn.names, *worn.machines)
        hits = [known for known in names if _telling(known) and re.search(rf"(?<!\w){re.escape(known)}(?!\w)", text)]
        hits += [match[0] for pattern in (EMAIL, REMOTE, HOME) for match in [pattern.search(text)] if match]
        if hits:
            found.append(f"{name}: {', '.join(dict.fromkeys(hits))}")
    return found


def _telling(name: str) -> bool:
    return len(name) >= SHORTEST and name.lower() not in GENERIC
