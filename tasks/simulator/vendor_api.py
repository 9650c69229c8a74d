"""A vendor's embeddings on loopback, so that cache warming runs against real HTTP without credentials or bills.

It speaks `POST /v1/embeddings` as OpenAI does, with vectors that depend on the text alone. Before it: nothing.
After it: `warm_cache` sends batches to `base_url`.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from hashlib import sha256
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import ceil, sqrt
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Self

import msgspec

MAX_INPUTS = 2048
DIMENSIONS = 64
_FLOATS_PER_HASH = 8


class EmbeddingRequest(msgspec.Struct):
    """The body of `POST /v1/embeddings`."""

    model: str
    input: str | list[str]
    dimensions: int = DIMENSIONS


class EmbeddingServer:
    """Serves until the `with` block ends; `base_url` ends in `/v1`, `served` counts the inputs it embedded."""

    def __init__(self) -> None:
        self._http = _Server(("127.0.0.1", 0), _Handler)
        # The default poll of half a second is what closing would wait for.
        self._thread = Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def base_url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    @property
    def served(self) -> int:
        """How many inputs were embedded so far."""
        return sum(self._http.batches)

    def fail_next(self, count: int, status: int) -> None:
        """Answer the next `count` requests with `status`, whatever they ask."""
        for _ in range(count):
            self._http.failures.put(status)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


def embedding(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """Turn a text into a unit vector, the same on every machine: SHA-256 blocks read as signed integers."""
    blocks = (sha256(f"{block}:{text}".encode()).digest() for block in range(ceil(dimensions / _FLOATS_PER_HASH)))
    numbers = [number for block in blocks for number in struct.unpack(">8i", block)][:dimensions]
    norm = sqrt(sum(number * number for number in numbers))
    return [number / norm for number in numbers]


class _Server(ThreadingHTTPServer):
    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.failures: SimpleQueue[int] = SimpleQueue()
        self.batches: list[int] = []


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        """Answer one request."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, answer = self._answer(body)
        content = msgspec.json.encode(answer)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(content)

    def _answer(self, body: bytes) -> tuple[int, dict[str, object]]:
        with suppress(Empty):
            return _error(self.server.failures.get_nowait(), "The server was told to fail")
        if not self.headers.get("Authorization", "").startswith("Bearer "):
            return _error(HTTPStatus.UNAUTHORIZED, "You didn't provide an API key")
        if self.path != "/v1/embeddings":
            return _error(HTTPStatus.NOT_FOUND, f"Invalid URL (POST {self.path})")
        try:
            request = msgspec.json.decode(body, type=EmbeddingRequest)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _error(HTTPStatus.BAD_REQUEST, str(error))
        return self._embed(request)

    def _embed(self, request: EmbeddingRequest) -> tuple[int, dict[str, object]]:
        texts = [request.input] if isinstance(request.input, str) else request.input
        if not 1 <= len(texts) <= MAX_INPUTS:
            return _error(HTTPStatus.BAD_REQUEST, f"input: {len(texts)} items, not between 1 and {MAX_INPUTS}")
        if request.dimensions < 1:
            return _error(HTTPStatus.BAD_REQUEST, f"dimensions: {request.dimensions} is not at least 1")
        self.server.batches.append(len(texts))
        return HTTPStatus.OK, _embeddings(request, texts)

    def log_message(self, format: str, *args: object) -> None:
        """Keep requests off stderr."""


def _embeddings(request: EmbeddingRequest, texts: list[str]) -> dict[str, object]:
    tokens = sum(len(text) // 4 + 1 for text in texts)
    data = [
        {"object": "embedding", "index": index, "embedding": embedding(text, request.dimensions)}
        for index, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": request.model, "usage": usage}


def _error(status: int, message: str) -> tuple[int, dict[str, object]]:
    return status, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
