"""Receive usage over HTTP, so that nothing has to be polled: LiteLLM's generic logger, and OTLP.

Before it: a gateway or an exporter posts. Between: `serve_http.py` serves, `request_body.py` reads
within limits, `receive_formats.py` parses. After it: `group_commit.py` stores. A post is answered 200 when its rows
are committed, and not before; bad rows are rows too, of `usage_rejects`.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from types import FrameType

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ops.errors import InvalidValue
from tasks.group_commit import GroupCommit, Outcome, Post
from tasks.receive_formats import FORMATS, JSON, Format
from tasks.request_body import Refusal, Room, Share, read_body, unpack
from tasks.serve_http import listen, make_server
from tasks.settings import Receiver
from tasks.sources.interface import Batch
from tasks.write_usage import Target

SHORTEST_TOKEN = 16
LONGEST_WAIT_S = 60.0  # for the commit; then the sender is told to come again, and what is stored by then stays
_MB = 1_000_000
_SMALL = 65_536  # bytes, not packed, that are parsed in the event loop: a thread would cost more
MOST_DAYS = 100  # of the events of a post: each may need a partition to be made
_THREADS = 2  # that unpack and parse larger bodies: tiny rows take 80 times their bytes until they are counted
Clock = Callable[[], datetime]
Say = Callable[[str], object]


def checked_token(settings: Receiver, *, insecure: bool) -> bytes | None:
    """Return the token that senders must show; None when everybody may send.

    Raises:
        InvalidValue: none, one that can be guessed, or one that no header can carry.
    """
    token = settings.token.get_secret_value()
    if not token and insecure:
        return None
    if len(token) < SHORTEST_TOKEN or not all("!" <= letter <= "~" for letter in token):  # which any header can carry
        limit = (f"a secret of at least {SHORTEST_TOKEN} visible ASCII characters"
                 " (--insecure-no-token receives from everybody)")  # fmt: skip
        raise InvalidValue("receiver.token", "(hidden)" if token else "", limit)
    return token.encode()


class Desk:
    """Takes the posts of all routes."""

    def __init__(self, settings: Receiver, token: bytes | None, commits: GroupCommit, clock: Clock) -> None:
        self._limit = int(settings.max_body_mb * _MB)
        self._timeout_s = settings.body_timeout_s
        self._token = token
        self._commits = commits
        self._clock = clock
        self._threads: anyio.CapacityLimiter | None = None
        self.room = Room(int(settings.max_waiting_mb * _MB))

    async def take(self, request: Request, form: Format) -> Response:
        """Answer one post."""
        media = JSON
        share = Share(self.room)
        try:
            self._check_sender(request)
            media = form.media(request.headers.get("content-type", ""))
            if self.room.is_tight:
                status = form.busy(request.headers.get("user-agent", ""))
                raise Refusal(status, "much is waiting to be stored", 1)
            batch = await self._read(request, form, media, share)
        except Refusal as refusal:
            share.hold(0)
            return _refused(refusal, form, media)
        except BaseException:
            share.hold(0)
            raise
        try:
            await self._store(batch, form, share)  # which holds its share until it is settled, whoever waits for it
        except Refusal as refusal:
            return _refused(refusal, form, media)
        return Response(form.stored(batch, media), media_type=media)

    def _check_sender(self, request: Request) -> None:
        if self._token is None:
            return
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        is_right = hmac.compare_digest(shown.strip().encode("utf-8", "replace"), self._token)
        if scheme.lower() != "bearer" or not is_right:
            raise Refusal(401, "the token is missing or wrong: Authorization: Bearer <receiver.token>")

    async def _read(self, request: Request, form: Format, media: str, share: Share) -> Batch:
        raw = await read_body(request, share, self._limit, self._timeout_s)
        encoding = request.headers.get("content-encoding", "")
        parse = partial(self._parse, raw, encoding, form, media)
        if len(raw) <= _SMALL and not encoding:
            batch, size = parse()
        else:
            self._threads = self._threads or anyio.CapacityLimiter(_THREADS)
            batch, size = await anyio.to_thread.run_sync(parse, limiter=self._threads)
        share.hold(max(len(raw), size))
        return batch

    def _parse(self, raw: bytes, encoding: str, form: Format, media: str) -> tuple[Batch, int]:
        body = unpack(raw, encoding, self._limit)
        try:
            batch = form.read(body, media, self._clock())
        except InvalidValue as error:
            raise Refusal(400, str(error)) from None
        if len({event.occurred_at.date() for event in batch.events}) > MOST_DAYS:
            raise Refusal(413, f"the post has events of more than {MOST_DAYS} days: watchkeeper ingest loads the past")
        return batch, len(body)

    async def _store(self, batch: Batch, form: Format, share: Share) -> None:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Outcome] = loop.create_future()

        def settle(outcome: Outcome) -> None:
            share.hold(0)
            if not told.done():
                told.set_result(outcome)

        self._commits.submit(Post(batch, form.origin, lambda outcome: _on(loop, partial(settle, outcome))))
        try:
            outcome = await asyncio.wait_for(asyncio.shield(told), LONGEST_WAIT_S)
        except TimeoutError:
            raise Refusal(503, "it is not stored yet", 5) from None
        if outcome is Outcome.AWAY:
            raise Refusal(503, outcome.value, 5)
        if outcome is Outcome.REFUSED:
            raise Refusal(500, f"{outcome.value}; the receiver's log tells why")


def _on(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(act)
    except RuntimeError:  # the loop is closed, and nobody waits any more
        logging.getLogger(__name__).warning("a post was stored after its sender had gone")


def _refused(refusal: Refusal, form: Format, media: str) -> Response:
    headers = {"retry-after": str(refusal.retry_after_s)} if refusal.retry_after_s else {}
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(form.refused(refusal, media), refusal.status, headers, media)


def make_app(target: Target, settings: Receiver, token: bytes | None, clock: Clock) -> Starlette:
    """Return the application; it writes from its start to its end."""
    commits = GroupCommit(target, clock)
    desk = Desk(settings, token, commits, clock)

    @asynccontextmanager
    async def running(app: Starlette) -> AsyncIterator[None]:  # noqa: ARG001  starlette's signature
        commits.start()
        yield
        await anyio.to_thread.run_sync(commits.close)

    async def health(request: Request) -> JSONResponse:  # noqa: ARG001  starlette's signature
        return JSONResponse({"database": "away" if commits.is_away else "ok", "waiting_bytes": desk.room.used})

    routes = [Route(form.path, _endpoint(desk, form), methods=["POST"]) for form in FORMATS]
    return Starlette(routes=[*routes, Route("/healthz", health)], lifespan=running)


def _endpoint(desk: Desk, form: Format) -> Callable[[Request], object]:
    async def endpoint(request: Request) -> Response:
        return await desk.take(request, form)

    return endpoint


def serve(target: Target, settings: Receiver, token: bytes | None, say: Say, clock: Clock) -> None:
    """Receive until Ctrl-C or SIGTERM; then finish what is there.

    Raises:
        Unavailable: the address is taken, or not ours.
    """
    with listen(settings.host, settings.port) as listener:
        say(instructions(_address(listener), has_token=token is not None))
        server = make_server(make_app(target, settings, token, clock), LONGEST_WAIT_S)
        for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn stops on them, and raises them again when it has
            signal.signal(number, _interrupt)
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            say("stopped: everything that was acknowledged is stored")


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def instructions(address: str, *, has_token: bool) -> str:
    """Return where it listens, and what senders are told in their own words."""
    header = 'Authorization: "Bearer <receiver.token>"' if has_token else ""
    exported = '\n  OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20<receiver.token>"' if has_token else ""
    return f"""listening on {address}{"" if has_token else ", to everybody who reaches it"}
LiteLLM, in its config.yaml:
  litellm_settings: {{callbacks: [watchkeeper]}}
  callback_settings:
    watchkeeper:
      callback_type: generic_api
      endpoint: {address}{FORMATS[0].path}
      headers: {{{header}}}
      max_retries: 8
      retry_delay: 1
  and in its environment, since it loses what it logs while a larger batch is on its way:
  DEFAULT_BATCH_SIZE=1
OpenTelemetry, in the environment of what is traced (JSON or protobuf):
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT={address}{FORMATS[1].path}{exported}
Ctrl-C stops it when everything is stored."""


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  a signal handler's signature
    raise KeyboardInterrupt
