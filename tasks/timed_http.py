"""The transport of our HTTP clients: an exchange ends within its time, whatever the server does.

A socket's timeout begins anew with every byte, so a server that drips outlasts it. An event loop ends whatever waits
for a name, a connection, a head or a body: the requests of our synchronous clients wait on one, in its own thread.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import httpcore
import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal

LONGEST_S = 120.0  # of an exchange whose request sets no other limit
_EXTENSION = "longest_s"
_TELLING = (httpx.LocalProtocolError, httpx.ProxyError)  # that nothing was sent
T = TypeVar("T")


def limited(request: httpx.Request, longest_s: float) -> httpx.Request:
    """Return the request, to be answered whole within that time."""
    request.extensions = {**request.extensions, _EXTENSION: longest_s}
    return request


class TimedTransport(httpx.BaseTransport):
    """Sends requests on an event loop of its own, through the environment's proxies; use the client in a `with`."""

    def __init__(self) -> None:
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Start the loop."""
        self._portal = self._open.enter_context(start_blocking_portal(name="http"))
        client = httpx.AsyncClient(timeout=None)  # noqa: S113  each request has its own
        self._client = self._open.enter_context(self._portal.wrap_async_context_manager(client))
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """End the loop; after an error with whatever waits on it."""
        self._open.__exit__(exc_type, exc_value, traceback)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; the time runs on while the answer's body is read.

        Raises:
            httpx.ConnectTimeout: the time ran out before the request was sent.
            httpx.ReadTimeout: it ran out later.
            httpx.ConnectError, httpx.ProxyError: no connection, or no tunnel through the proxy.
            httpx.TransportError: as with httpx's own transport.
        """
        exchange = _Exchange(self._portal, request)
        answer = exchange.wait(lambda: self._client.send(exchange.request, stream=True))
        return httpx.Response(
            answer.status_code, headers=answer.headers, stream=_Body(exchange, answer), extensions=answer.extensions
        )


class _Exchange:
    """A request under way, and how long it may still take."""

    def __init__(self, portal: BlockingPortal, request: httpx.Request) -> None:
        self.portal = portal
        self._longest_s: float = request.extensions.get(_EXTENSION, LONGEST_S)
        self._begun = time.monotonic()
        self._is_sent = False
        self._connection: httpcore.AsyncNetworkStream | None = None
        self.request = httpx.Request(
            request.method, request.url, headers=request.headers, content=request.read(),
            extensions={**request.extensions, "trace": self._trace},
        )  # fmt: skip

    def wait(self, step: Callable[[], Awaitable[T]]) -> T:
        """Take a step on the loop; who is interrupted meanwhile ends it."""
        future = self.portal.start_task_soon(self._take, step)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def _take(self, step: Callable[[], Awaitable[T]]) -> T:
        left = self._longest_s - (time.monotonic() - self._begun)
        try:
            if left > 0:  # a step whose bytes are already here waits for nothing: no event loop ends it
                with anyio.move_on_after(left):
                    return await step()
        except httpx.TimeoutException as error:
            raise self._told(error) from error
        except httpx.TransportError as error:
            if self._is_sent or isinstance(error, _TELLING):
                raise
            raise httpx.ConnectError(_words(error)) from error  # of a proxy's tunnel, with the errors of an answer
        except (OSError, OverflowError, ExceptionGroup) as error:  # of TLS or a port, where httpx has no name for it
            raise (httpx.ReadError if self._is_sent else httpx.ConnectError)(_words(error)) from error
        if self._connection is not None:  # httpcore leaves open what is cancelled in the middle of a handshake
            await self._connection.aclose()
        kind = httpx.ReadTimeout if self._is_sent else httpx.ConnectTimeout
        raise kind(f"no whole answer within {self._longest_s:g} s")

    def _told(self, error: httpx.TimeoutException) -> httpx.TimeoutException:
        """Say what httpx does not: when it was, and how long a connection or a silence may be."""
        step = type(error).__name__.removesuffix("Timeout").lower()
        limit = self.request.extensions["timeout"][step]
        is_tunnel = not self._is_sent and not isinstance(error, httpx.PoolTimeout)  # to the proxy it wrote, and read
        kind = httpx.ConnectTimeout if is_tunnel else type(error)
        return kind(f"after {time.monotonic() - self._begun:.1f} s, {limit:g} s of them without a sign")

    async def _trace(self, event: str, told: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self._connection = told["return_value"]
        elif event.endswith(".send_request_headers.started") and told["request"].method != b"CONNECT":
            self._is_sent = True  # CONNECT is asked of the proxy: whom the request is for knows nothing of it


class _Body(httpx.SyncByteStream):
    """The answer's bytes as they are sent, within the exchange's time."""

    def __init__(self, exchange: _Exchange, answer: httpx.Response) -> None:
        self._exchange, self._answer = exchange, answer

    def __iter__(self) -> Iterator[bytes]:
        pieces = self._answer.aiter_raw()
        while piece := self._exchange.wait(lambda: anext(pieces, b"")):
            yield piece

    def close(self) -> None:
        """Give the connection back, or cut it when the body is not at its end."""
        if not self._answer.is_closed:
            self._exchange.portal.call(self._answer.aclose)


def _words(error: BaseException) -> str:
    """Return what the system said, of the first address: anyio says only that no address could be reached."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    found: BaseException | None = error
    while found is not None and not isinstance(found, OSError):
        found = found.__cause__ or found.__context__
    of_each = found.__cause__ if found else None
    first = of_each.exceptions[0] if isinstance(of_each, BaseExceptionGroup) else of_each
    if isinstance(first, OSError) and first.errno:
        return f"[Errno {first.errno}] {os.strerror(first.errno)}"
    return str(found or error)
