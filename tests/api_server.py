"""A vendor's API on loopback: answers as the test's function says, and fails first as often as the test asks."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """A request as the server saw it; header names in lower case."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    def one(self, name: str, default: str = "") -> str:
        """Return the first value of a query parameter."""
        return self.query.get(name, [default])[0]

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Fault:
    """What goes wrong instead of, or with, one answer."""

    status: int | None = None  # answered in place of the right one
    headers: dict[str, str] = field(default_factory=dict)
    truncated: bool = False  # half of the JSON, with the length of that half: whole to HTTP
    cut: bool = False  # half of what the length announces, then the connection ends
    seconds: float = 0.0  # before the answer
    content: bytes | None = None  # sent as it is, in place of the right one
    endless: bool = False  # blanks behind it for ever, a few at a time


@dataclass
class ApiServer:
    """What the test holds: `faults` come first, one for each request."""

    url: str
    asked: list[Asked] = field(default_factory=list)
    faults: list[Fault | None] = field(default_factory=list)


@contextmanager
def api_server(answer: Callable[[Asked], tuple[int, Any]]) -> Iterator[ApiServer]:
    """Serve `answer` (status, JSON document) on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each answer's body waits 40 ms for the acknowledgement of its headers

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, url.path, parse_qs(url.query, keep_blank_values=True), headers, body)
            with lock:
                server.asked.append(asked)
                fault = server.faults.pop(0) if server.faults else None
            self._reply(asked, fault or Fault())

        do_POST = do_GET

        def _reply(self, asked: Asked, fault: Fault) -> None:
            time.sleep(fault.seconds)
            status, document = answer(asked) if fault.status is None else (fault.status, {"error": "as asked"})
            content = json.dumps(document).encode() if fault.content is None else fault.content
            sent = content[: len(content) // 2] if fault.truncated or fault.cut else content
            self.send_response(status)
            for name, value in {"content-type": "application/json", **fault.headers}.items():
                self.send_header(name, value)
            if not fault.endless:
                self.send_header("content-length", str(len(content) if fault.cut else len(sent)))
            self.end_headers()
            self.wfile.write(sent)
            self.close_connection = fault.cut or fault.endless
            with suppress(OSError):  # whoever asked hangs up
                while fault.endless:
                    self.wfile.write(b"  ")

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    lock = threading.Lock()
    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    server = ApiServer(f"http://127.0.0.1:{listener.server_port}")
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()
