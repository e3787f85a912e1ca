"""Servers over HTTP that answer what a test wants, alone or between a client and another server."""

import http.server
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Answer = tuple[int, str, bytes]
"""Status, content type, body."""
PAGE: Answer = (200, "text/html", b"<!DOCTYPE html><html><title>Sign in</title></html>")
NO: Answer = (500, "application/json", b'{"error_code": "INTERNAL_ERROR", "message": "no"}')


@contextmanager
def answering(answer: Callable[[str], Answer | None], otherwise: str = "") -> Iterator[str]:
    """A server's address; it answers each path so, and those for which that is nothing as another server does."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0)) or None
            status, kind, content = answer(self.path) or _asked(otherwise + self.path, self.command, body)
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = respond

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def _asked(address: str, method: str, body: bytes | None) -> Answer:
    request = urllib.request.Request(address, body, {"content-type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.headers.get("content-type") or "text/plain", response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("content-type") or "text/plain", error.read()
