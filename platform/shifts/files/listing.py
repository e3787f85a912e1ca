"""The files of a folder that are data: links are followed, leftovers of other programs are left out and counted."""

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

LEFTOVERS = frozenset({"__MACOSX", "@eaDir", "#recycle", "#snapshot", "$RECYCLE.BIN", "lost+found"})
"""Folders that macOS, network storage, Windows and Linux make beside data; names with a leading dot count too."""
COMPANIONS = frozenset(
    {
        *(
            ".txt",
            ".md",
            ".rst",
            ".pdf",
            ".html",
            ".htm",
            ".url",
            ".log",
            ".lst",
            ".list",
            ".csv",
            ".tsv",
            ".xml",
            ".json",
        ),
        *(".yaml", ".yml", ".toml", ".ini", ".cfg", ".py", ".ipynb", ".m", ".sh", ".bat", ".db", ".md5", ".sha256"),
    }
)
"""Endings of files that go along with images and hold none."""
COMPANION_NAMES = frozenset({"readme", "license", "licence", "copying", "makefile", "md5sums", "sha256sums"})
"""Names without an ending of such files."""
MENTIONED = 5
"""Names in a folder that a message shows."""

Say = Callable[[str], None]
"""Takes a line about what is left out."""


class LeftOut(NamedTuple):
    """What a file is counted as that is none of the data."""

    kind: str


Sort = Callable[[str], str | LeftOut]
"""What a file is, by its path without the ending: the name by which it is paired, if it is one of the data."""


class TooFew(ValueError):
    """A folder in which data are missing; the message says what it does hold."""


@dataclass
class Listing:
    """The data files of a folder by name, and how many others there are, by what they are."""

    folder: Path
    files: dict[str, Path] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, path: Path) -> None:
        """Enter a file under a name; raises ValueError when another one has it."""
        # macOS takes names apart into letters and accents, and archives carry them to other systems.
        name = unicodedata.normalize("NFC", name)
        if name in self.files:
            raise ValueError(f"{self.files[name]} and {path} have the same name, {name!r}; keep one of them")
        self.files[name] = path

    def flat(self) -> "Listing":
        """The same files without their folders' names, where their own tell them apart; else as they are."""
        own = {name.rpartition("/")[2]: path for name, path in self.files.items()}
        return Listing(self.folder, own, self.left_out) if len(own) == len(self.files) else self

    def require(self, least: int, what: str) -> None:
        """Raise TooFew, saying what the folder does hold, unless there are as many files as that."""
        if len(self.files) < least:
            raise TooFew(
                f"{self.folder} must hold at least {least} {what}, got {len(self.files)}: {contents(self.folder)}"
                + (f"; left out {self._others}" if self.left_out else "")
            )

    def tell(self, say: Say) -> None:
        """Say what was left out, if anything was."""
        if self.left_out:
            say(f"{self.folder}: left out {self._others}")

    @property
    def _others(self) -> str:
        return ", ".join(f"{kind} ({number:,})" for kind, number in self.left_out.items())


def listed(folder: Path, endings: Collection[str], sort: Sort) -> Listing:
    """The files below a folder that have one of the endings, in any case, sorted by what they are.

    Links are followed, but not in circles. Raises ValueError for a folder that cannot be read, and for a name that is
    there twice.
    """
    listing = Listing(folder)
    wanted = tuple(f".{ending}" for ending in endings)
    for path, is_leftover in _walk(folder, (), leftover=False):
        is_wanted = path.name.lower().endswith(wanted)
        if is_leftover:
            sorted_as: str | LeftOut | None = LeftOut("hidden files") if is_wanted else None
        else:
            sorted_as = sort(path.relative_to(folder).with_suffix("").as_posix()) if is_wanted else _other(path)
        match sorted_as:
            case str(name):
                listing.add(name, path)
            case LeftOut(kind):
                listing.left_out[kind] += 1
    return listing


def everything(folder: Path) -> list[Path]:
    """All files below a folder in order of names, links followed, but for leftovers. Raises ValueError."""
    return [path for path, is_leftover in _walk(folder, (), leftover=False) if not is_leftover and path.exists()]


def found(folder: Path, *places: str) -> Path:
    """The first of these places in a folder that is there, whatever the case of its letters; else the first."""
    for place in places:
        path = folder
        for part in Path(place).parts:
            path = _like(path, part)
        if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where a folder cannot be entered
            return path
    return folder / places[0]


def contents(folder: Path) -> str:
    """What a folder, or the nearest above it that is there, holds: `DATA/gta5 holds images, labels`."""
    there = next(path for path in (folder, *folder.parents) if os.path.isdir(path))  # noqa: PTH112 - see `found`
    try:
        names = sorted(path.name for path in there.iterdir())
    except OSError as error:
        return f"{there} cannot be read: {error.strerror}"
    more = f" and {len(names) - MENTIONED:,} more" if len(names) > MENTIONED else ""
    return f"{there} holds {', '.join(names[:MENTIONED]) or 'nothing'}{more}"


def _walk(folder: Path, above: Sequence[tuple[int, int]], leftover: bool) -> Iterator[tuple[Path, bool]]:
    """Every file below a folder, in order of names, and whether it is a leftover."""
    try:
        status = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unreadable(folder, error) from error
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    for entry in entries:
        hidden = leftover or entry.name.startswith(".") or entry.name in LEFTOVERS
        path = folder / entry.name
        if not _is_folder(entry, hidden):
            # Nobody waits for what a pipe or a socket gives; of a plain file the entry tells without another look.
            if entry.is_file(follow_symlinks=False) or os.path.isfile(path) or not os.path.exists(path):  # noqa: PTH110, PTH113 - see `found`
                yield path, hidden
        elif not hidden or os.access(path, os.R_OK | os.X_OK):
            # What nobody may read and nobody counts is no trouble.
            yield from _walk(path, (*above, here), hidden)


def _other(path: Path) -> LeftOut | None:
    """What somebody may have taken for data: files of other endings, folders that are not mounted."""
    if not path.exists():
        return LeftOut("links to nowhere")
    ending = path.suffix.lower()
    if ending in COMPANIONS or path.name.lower() in COMPANION_NAMES:
        return None
    return LeftOut(f"*{ending}" if ending else "files without an ending")


def _is_folder(entry: "os.DirEntry[str]", hidden: bool) -> bool:
    try:
        return entry.is_dir()
    except PermissionError as error:
        if hidden:
            return False
        raise _unreadable(Path(entry.path), error) from error
    except OSError:
        return False  # a link to itself, which is named when it is read


def _unreadable(path: Path, error: OSError) -> ValueError:
    return ValueError(f"{path} cannot be read: {error.strerror}; mend that, or move it away")


def _like(folder: Path, name: str) -> Path:
    """The entry of a folder that is called so; one whose letters differ in case where there is none."""
    exact = folder / name
    try:
        others = [] if exact.exists() else sorted(folder.iterdir())
    except OSError:
        return exact  # what cannot be read is named when it is listed
    return next((path for path in others if path.name.lower() == name.lower()), exact)
