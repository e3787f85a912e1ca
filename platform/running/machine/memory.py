"""What the kernel says of processes of this machine that it ended for want of memory."""

import re
import time
from pathlib import Path

RECENT_SECONDS = 10.0
"""How long after the kernel ended a process the loss of a worker is put down to that."""
COUNT = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


class MemoryKills:
    """Counts the processes that the kernel ended: of this process's own control group, or of the whole machine."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._counters = [file for file in _counters(root) if _count(file) is not None][:1]
        self._count = self._now()
        self._rose_at = -RECENT_SECONDS

    def look(self) -> None:
        """Note whether the kernel has ended a process since the last look."""
        count = self._now()
        if count > self._count:
            self._rose_at = time.monotonic()
        self._count = count

    @property
    def recent(self) -> str:
        """What the kernel says of the last seconds; empty where it says nothing."""
        self.look()
        if time.monotonic() > self._rose_at + RECENT_SECONDS:
            return ""
        return f"the kernel ended a process for want of memory, says {self._counters[0]}"

    def _now(self) -> int:
        return sum(_count(file) or 0 for file in self._counters)


def _counters(root: Path) -> list[Path]:
    """Where the kernel counts them, nearest first: version 2 of control groups, version 1, the machine."""
    mounted = root / "sys/fs/cgroup"
    found: list[Path] = []
    try:
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        groups = []
    for line in groups:
        _, controllers, path = line.split(":", 2)
        # A container sees its own group as the mounted one, whatever its name is outside.
        places = (path.lstrip("/"), "")
        if not controllers:
            found += [mounted / place / "memory.events" for place in places]
        elif "memory" in controllers.split(","):
            found += [mounted / "memory" / place / "memory.oom_control" for place in places]
    return [*found, root / "proc/vmstat"]


def _count(file: Path) -> int | None:
    try:
        counted = COUNT.search(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return None if counted is None else int(counted[1])
