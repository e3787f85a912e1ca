"""Results in a bucket of S3, or of another service with its protocol.

S3 can neither append nor lock. A line is appended by writing the whole object again. Locks on the driver's machine
ensure that a study or a trial has one driver, so two machines must not run studies under one prefix at the same time.
"""

import re
import time
from collections import OrderedDict
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pyarrow import fs

from platform.records.one_line import without_credentials
from platform.records.storage.files import TooLarge
from platform.records.storage.storage import most_bytes

SIGN_SECONDS = 2.0
"""Greatest age of an answer of `shows`: every request takes time, and costs a fraction of a cent."""
REMEMBERED_FILES = 256
"""Number of files whose content this process remembers, so as not to read it again before it appends."""
ATTEMPTS = 5
"""Attempts at a request: a minute at most, during which Ctrl-C has no effect; by default pyarrow takes five."""
OPTION = r"(region=|endpoint_override=|scheme=https?(?![^&]))[^&\s]*"
ADDRESS = re.compile(rf"s3://[a-z0-9][a-z0-9.-]+(/[^?@&\s]*)?(\?{OPTION}(&{OPTION})*)?")


class Bucket:
    """Results below `s3://BUCKET/PREFIX`; `?region=`, `?endpoint_override=` and `?scheme=` are those of pyarrow.

    Keys come from where Amazon's tools look for them. Raises ValueError for any other URI.
    """

    def __init__(self, uri: str) -> None:
        if not ADDRESS.fullmatch(uri):
            rule = "must be s3://BUCKET/PREFIX, and its options region, endpoint_override and scheme"
            # Keys that somebody wrote into the URI must not end in a log.
            shown = without_credentials(uri)
            raise ValueError(f"a bucket {rule}, got {shown!r}; keys belong in AWS_PROFILE or a machine's role")
        self.uri = uri
        self._appended: OrderedDict[str, bytes] = OrderedDict()
        self._shown: dict[str, tuple[float, bool]] = {}

    def __str__(self) -> str:
        return self.uri.partition("?")[0].rstrip("/")

    def __reduce__(self) -> tuple[Any, ...]:
        return Bucket, (self.uri,)

    def read(self, name: str) -> bytes:
        with self._files.open_input_file(name) as file:
            if (size := file.size()) > most_bytes(name):
                raise TooLarge(f"{self}/{name}", size, most_bytes(name))
            content: bytes = file.read()
        return content

    def write(self, name: str, content: bytes) -> None:
        # An object appears when it is whole.
        with self._files.open_output_stream(name) as file:
            file.write(content)

    def append(self, name: str, line: bytes) -> None:
        there = self._content(name)
        content = there[: there.rfind(b"\n") + 1] + line + b"\n"
        self.write(name, content)
        self._appended[name] = content
        if len(self._appended) > REMEMBERED_FILES:
            self._appended.popitem(last=False)

    def _content(self, name: str) -> bytes:
        """A file to append to, read only if it isn't as this process left it."""
        remembered = self._appended.pop(name, None)
        # Somebody else may have appended meanwhile, and nothing ever makes such a file shorter.
        if remembered is not None and self._files.get_file_info(name).size == len(remembered):
            return remembered
        try:
            return self.read(name)
        except FileNotFoundError:
            return b""

    def remove(self, name: str) -> None:
        if self._is_there(name):
            self._files.delete_file(name)

    def shows(self, sign: str) -> bool:
        asked, shown = self._shown.get(sign, (-SIGN_SECONDS, False))
        if time.monotonic() >= asked + SIGN_SECONDS:
            try:
                shown = self._is_there(sign)
            except OSError:
                shown = False
            self._shown[sign] = time.monotonic(), shown
        return shown

    def names(self, folder: str) -> list[str]:
        found = self._files.get_file_info(fs.FileSelector(folder, allow_not_found=True))
        return sorted(info.base_name for info in found)

    def move(self, name: str, to: str) -> None:
        self.copy(name, to)
        if self._is_there(name):
            self._files.delete_file(name)
        else:
            self._files.delete_dir(name)

    def copy(self, name: str, to: str) -> None:
        for file in self._below(name):
            self._files.copy_file(file, to + file.removeprefix(name))

    def modified(self, name: str) -> float:
        seconds: float | None = self._files.get_file_info(name).mtime_ns
        if seconds is None:
            raise FileNotFoundError(name)
        return seconds / 1e9

    def tidy(self, folder: str) -> None:
        """Nothing: an object appears when it is whole."""

    def _below(self, name: str) -> list[str]:
        """A file, or all files below a folder, in full."""
        if self._is_there(name):
            return [name]
        below = self._files.get_file_info(fs.FileSelector(name, allow_not_found=True, recursive=True))
        return sorted(info.path for info in below if info.type == fs.FileType.File)

    def _is_there(self, name: str) -> bool:
        return bool(self._files.get_file_info(name).type == fs.FileType.File)

    @cached_property
    def _files(self) -> fs.SubTreeFileSystem:
        address = urlsplit(self.uri)
        options = dict(parse_qsl(address.query))
        if not options.keys() & {"region", "endpoint_override"}:
            options["region"] = fs.resolve_s3_region(address.netloc)
        # With a delayed opening one request writes a small object, instead of three.
        attempts = fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS)
        files = fs.S3FileSystem(**options, allow_delayed_open=True, retry_strategy=attempts)
        return fs.SubTreeFileSystem(f"{address.netloc}{address.path}".rstrip("/"), files)
