"""Serve an application over HTTP; who connects and says nothing does not keep others out.

Used by `tasks/receive_usage.py`.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from ops.errors import Unavailable

if TYPE_CHECKING:
    from starlette.types import ASGIApp

HEAD_TIMEOUT_S = 20.0  # for the head of a request, from the connection or the answer before it
CONNECTIONS = 1_000
_BACKLOG = 2_048


class Impatient(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # one of two classes, as installed
    """HTTP on one connection; who connects and sends no whole head is hung up on, as uvicorn does not."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        self._waits: asyncio.TimerHandle | None = None
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of a head."""
        super().data_received(data)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        super().connection_lost(exc)
        if self._waits:
            self._waits.cancel()

    def _await_head(self) -> None:
        if self._is_idle and self._waits is None:
            self._waits = self.loop.call_later(HEAD_TIMEOUT_S, self._hang_up)

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _hang_up(self) -> None:
        self._waits = None
        if self._is_idle:
            self.transport.close()


def make_server(app: ASGIApp, longest_s: float) -> uvicorn.Server:
    """Return what serves an application; when it is stopped, answers that take so long are waited for."""
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="on", ws="none", http=Impatient, server_header=False,
        limit_concurrency=CONNECTIONS, timeout_graceful_shutdown=int(longest_s) + 5,
    )  # fmt: skip
    return uvicorn.Server(config)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        Unavailable: the address is taken, or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns off Nagle's wait of 40 ms only for sockets that say which protocol they speak
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise Unavailable(f"{host}:{port}", error.strerror or error) from None
    return listener
