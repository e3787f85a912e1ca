"""What another user tries with a running study: given that user's id, it prints each way in that is open.

Run by root: what Python itself must load may lie where that user may not look.
"""

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress

import grpc  # type: ignore[import-untyped]

LOOKS = ("/get_runtime_envs_info",)
PAGES = ("/get_or_create_runtime_env", "/delete_runtime_env_if_possible", "/api/job_agent/jobs/", *LOOKS)
"""What Ray's agents take by POST: to run a program, to delete, to look."""
HARMLESS = (
    "NodeManagerService/GetNodeStats",
    "NodeInfoGcsService/GetAllNodeInfo",
    "InternalKVGcsService/InternalKVKeys",
    "CoreWorkerService/GetCoreWorkerStats",
)
CALLS = (
    *HARMLESS,
    "CoreWorkerService/PushTask",
    "NodeManagerService/RequestWorkerLease",
    "InternalKVGcsService/InternalKVPut",
    "JobInfoGcsService/AddJob",
    "ActorInfoGcsService/RegisterActor",
    "ObjectManagerService/Pull",
    "ReporterService/GetTraceback",
)
"""What each of Ray's servers offers: to run a task, to look, to change."""
OPENLY = b"# HELP "
"""How metrics begin, on a port that has nothing else: load and memory, which everybody here can see anyway."""


def by_http(port: int, token: str, pages: Sequence[str] = PAGES) -> None:
    """Say which pages give an answer other than metrics or a refusal."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    for page in ("/", *pages):
        content = None if page == "/" else b""
        request = urllib.request.Request(f"http://127.0.0.1:{port}{page}", content, headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                if page == "/" and answer.read().startswith(OPENLY):
                    return
                print(f"http {port} {page} {answer.status}")
        except urllib.error.HTTPError as error:
            if error.code not in (401, 403):
                print(f"http {port} {page} {error.code}")
        except Exception:
            return  # nobody, or not HTTP


def by_grpc(port: int, token: str, calls: Sequence[str] = CALLS) -> None:
    """Say which calls are answered."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for call in calls:
            metadata = [("authorization", f"Bearer {token}")] if token else []
            try:
                channel.unary_unary(f"/ray.rpc.{call}")(b"", timeout=20, metadata=metadata)
                print(f"grpc {port} {call} answered")
            except grpc.RpcError as error:
                if error.code() not in (
                    grpc.StatusCode.UNAUTHENTICATED,
                    grpc.StatusCode.UNIMPLEMENTED,
                    grpc.StatusCode.UNAVAILABLE,
                ):
                    print(f"grpc {port} {call} {error.code().name}")


def by_files(names: list[str]) -> None:
    """Say which files or folders can be looked into."""
    for name in names:
        with suppress(OSError):
            if os.path.isdir(name):  # noqa: PTH112
                print(f"folder {name} {os.listdir(name)}")  # noqa: PTH208
            else:
                with open(name, "rb") as file:  # noqa: PTH123
                    print(f"file {name} {len(file.read(100))}")


def give_up_rights(user: int) -> None:
    """Be another user from now on, who may not come back; what the ways in import only when tried is there already."""
    by_http(0, "")
    by_grpc(0, "")
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


if __name__ == "__main__":
    give_up_rights(int(sys.argv[1]))
    ports, files = (part.split() for part in sys.stdin.read().split("\n", 1))
    by_files(files)
    for each in map(int, ports):
        for guess in ("", "0" * 64):
            by_http(each, guess)
            by_grpc(each, guess)
    print("tried")
