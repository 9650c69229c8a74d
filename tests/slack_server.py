"""A Slack of our own on loopback: the four methods that alerting needs, and the ways in which Slack fails.

Tests point a `SlackClient` at it and look at what its channels show in the end.
"""

from __future__ import annotations

import json
import queue
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

Json = dict[str, Any]


class Clock:
    """The time that the server and the dispatchers share; it moves only when a test says so."""

    def __init__(self, start: datetime = datetime(2025, 11, 3, 9, tzinfo=UTC)) -> None:
        self.time = start

    def __call__(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> datetime:
        self.time += timedelta(seconds=seconds)
        return self.time


@dataclass(frozen=True)
class Fault:
    """How one call goes wrong."""

    status: int = 200
    error: str = ""
    body: bytes | None = None  # instead of JSON
    headers: dict[str, str] = field(default_factory=dict)
    accept: bool = False  # the call takes effect all the same
    drop: bool = False  # the connection closes without an answer
    hang: bool = False  # no answer until `release`


RATE_LIMITED = Fault(429, "ratelimited", headers={"Retry-After": "30"})
SERVER_ERROR = Fault(500, body=b"<html>oops</html>")
ACCEPTED_500 = Fault(500, "internal_error", accept=True)
ACCEPTED_THEN_DROPPED = Fault(accept=True, drop=True)
ACCEPTED_THEN_HANGS = Fault(accept=True, drop=True, hang=True)


class SlackServer:
    """What the channels show, which calls came, and which faults are due."""

    def __init__(self, clock: Callable[[], datetime], channels: tuple[str, ...] = ("C1", "C2")) -> None:
        self.messages: dict[str, list[Json]] = {channel: [] for channel in channels}
        self.calls: list[tuple[str, str]] = []  # (method, channel), in the order of arrival
        self.arguments: list[Json] = []
        self.fault_for: Callable[[str, str], Fault | None] = self._next_queued
        self.accepted: queue.Queue[str] = queue.Queue()  # the ts of each message that was taken and left unanswered
        self.release = threading.Event()
        self._clock = clock
        self._count = 0
        self._lock = threading.Lock()
        self._faults: defaultdict[tuple[str, str], deque[Fault]] = defaultdict(deque)
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.slack = self

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/api/"

    @contextmanager
    def running(self) -> Iterator[SlackServer]:
        thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.release.set()
            self._http.shutdown()
            thread.join()
            self.close()

    def close(self) -> None:
        """Refuse connections from now on."""
        self._http.server_close()

    def fail(self, method: str, channel: str, *faults: Fault | str) -> None:
        """Answer the next calls with these faults; a text is an `ok: false` error."""
        known = (Fault(error=fault) if isinstance(fault, str) else fault for fault in faults)
        self._faults[method, channel].extend(known)

    def texts(self, channel: str = "C1") -> list[str]:
        return [message["text"] for message in self.messages[channel]]

    def count(self, method: str, channel: str = "C1") -> int:
        return self.calls.count((method, channel))

    def handle(self, method: str, arguments: Json) -> tuple[Fault, Json]:
        channel = arguments.get("channel", "")
        with self._lock:
            self.calls.append((method, channel))
            self.arguments.append(arguments)
            fault = self.fault_for(method, channel)
            if fault is None or fault.accept:
                answer = self._answer(method, channel, arguments)
            else:
                answer = {"ok": False, "error": fault.error}
        if fault and fault.hang:
            self.accepted.put(answer["ts"])
            self.release.wait(10)
        return fault or Fault(), answer

    def _next_queued(self, method: str, channel: str) -> Fault | None:
        waiting = self._faults[method, channel]
        return waiting.popleft() if waiting else None

    def _answer(self, method: str, channel: str, arguments: Json) -> Json:
        if channel not in self.messages:
            return {"ok": False, "error": "channel_not_found"}
        name = method.replace(".", "_").lower()
        answer: Json = getattr(self, f"_{name}")(channel, arguments)
        return {"ok": "error" not in answer, **answer}

    def _chat_postmessage(self, channel: str, arguments: Json) -> Json:
        if error := _refusal(arguments):
            return {"error": error}
        self._count += 1
        ts = f"{self._clock().timestamp() + self._count / 1e6:.6f}"
        self.messages[channel].append({**arguments, "ts": ts})
        return {"channel": channel, "ts": ts}

    def _chat_update(self, channel: str, arguments: Json) -> Json:
        if error := _refusal(arguments):
            return {"error": error}
        for message in self.messages[channel]:
            if message["ts"] == arguments["ts"]:
                message.update(arguments)
                return {"channel": channel, "ts": message["ts"]}
        return {"error": "message_not_found"}

    def _conversations_history(self, channel: str, arguments: Json) -> Json:
        return self._page([message for message in self.messages[channel] if "thread_ts" not in message], arguments)

    def _conversations_replies(self, channel: str, arguments: Json) -> Json:
        return self._page([m for m in self.messages[channel] if arguments["ts"] in (m["ts"], m.get("thread_ts"))],
                          arguments)  # fmt: skip

    def _page(self, messages: list[Json], arguments: Json) -> Json:
        newest_first = [m for m in reversed(messages) if float(m["ts"]) > float(arguments.get("oldest", 0))]
        start, limit = int(arguments.get("cursor", 0)), int(arguments.get("limit", 100))
        hidden = () if arguments.get("include_all_metadata") == "1" else ("metadata",)
        page = [{k: v for k, v in m.items() if k not in hidden} for m in newest_first[start : start + limit]]
        more = start + limit < len(newest_first)
        return {"messages": page, "response_metadata": {"next_cursor": str(start + limit) if more else ""}}


def _refusal(arguments: Json) -> str | None:
    """Slack's own limits."""
    blocks = arguments.get("blocks") or []
    bars = [block for bar in arguments.get("attachments") or [] for block in bar.get("blocks", [])]
    if len(arguments.get("text", "")) > 4000 or len(json.dumps(arguments)) > 13_200:
        return "msg_too_long"
    if len(blocks) > 50 or not all(_valid(block) for block in blocks):
        return "invalid_blocks"
    if not all(_valid(block) for block in bars):
        return "invalid_attachments"
    return None if arguments.get("text") or blocks else "no_text"


def _valid(block: Json) -> bool:
    limit = {"section": 3000, "header": 150}.get(block.get("type", ""), 3000)
    texts = [block.get("text", {}), *block.get("fields", [])]
    return "type" in block and len(texts) <= 11 and all(len(text.get("text", "")) <= limit for text in texts)


class _Server(ThreadingHTTPServer):
    slack: SlackServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay quiet: a caller that was killed is what a test wants."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        is_json = "json" in self.headers["Content-Type"]
        arguments = json.loads(body) if is_json else dict(parse_qsl(body))
        fault, answer = self.server.slack.handle(self.path.removeprefix("/api/"), arguments)
        if fault.drop:
            return
        content = fault.body if fault.body is not None else json.dumps(answer).encode()
        self.send_response(fault.status)
        for name, value in {"Content-Type": "application/json", **fault.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Write nothing to standard error."""
