"""Read the body of a POST within limits: bytes sent, bytes unpacked, time, and the memory of all posts together.

Before it: `tasks/receive_usage.py` has checked who asks. After it: the format of the route parses the body.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request

TIGHT = 0.8  # so full, and who comes next is asked to come later
MOST_MEMBERS = 100  # of a gzip file; honest ones have one
_GZIP, _ZLIB, _RAW_DEFLATE = 31, 15, -15


class Refusal(Exception):
    """What a post is answered instead of 200."""

    def __init__(self, status: int, reason: str, retry_after_s: int | None = None) -> None:
        self.status = status
        self.reason = reason
        self.retry_after_s = retry_after_s
        super().__init__(f"{status} {reason}")


class Room:
    """The bytes that all posts together may hold until they are answered; used from the event loop alone."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    @property
    def is_tight(self) -> bool:
        """Whether so much is held that new posts are turned away before they are read."""
        return self.used > TIGHT * self.limit


class Share:
    """What one post holds of the room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._held = 0

    def hold(self, count: int) -> None:
        """Hold so many bytes from now on, instead of what was held before.

        Raises:
            Refusal: the room is full.
        """
        if count > self._held and self._room.used + count - self._held > self._room.limit:
            raise Refusal(503, "too much is waiting to be stored", 1)
        self._room.used += count - self._held
        self._held = count


async def read_body(request: Request, share: Share, limit: int, timeout_s: float) -> bytes:
    """Return the bytes as they were sent.

    Raises:
        Refusal: too many, too slow, or the sender went away.
    """
    from starlette.requests import ClientDisconnect

    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large(limit, "as sent")
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise too_large(limit, "as sent")
                share.hold(len(body))
    except TimeoutError:
        raise Refusal(408, f"the body took longer than {timeout_s:g} s") from None
    except ClientDisconnect:
        raise Refusal(400, "the sender went away") from None
    return bytes(body)


def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo a Content-Encoding; stops as soon as more than `limit` bytes come out.

    Raises:
        Refusal: an encoding that we do not know, a damaged body, or more than the limit.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding in ("gzip", "x-gzip"):
        return _inflate(body, _GZIP, limit)
    if encoding == "deflate":
        return _inflate(body, _ZLIB if _is_zlib(body) else _RAW_DEFLATE, limit)
    raise Refusal(415, f"content-encoding {encoding[:40]!r} is none of gzip, deflate, identity")


def _is_zlib(body: bytes) -> bool:
    """Whether a deflated body has the header that the standard asks for, and that some senders leave out."""
    return len(body) >= 2 and body[0] & 15 == zlib.DEFLATED and (body[0] * 256 + body[1]) % 31 == 0


def _inflate(body: bytes, window: int, limit: int) -> bytes:
    found = bytearray()
    for number in range(MOST_MEMBERS + 1):
        if number == MOST_MEMBERS:
            raise Refusal(413, f"the body is packed in more than {MOST_MEMBERS} pieces")
        member = zlib.decompressobj(window)
        try:
            found += member.decompress(body, limit - len(found) + 1)
        except zlib.error as error:
            raise Refusal(400, f"the body cannot be unpacked: {error}") from None
        if len(found) > limit:
            raise too_large(limit, "unpacked")
        if not member.eof:
            raise Refusal(400, "the body cannot be unpacked: it ends too early")
        body = member.unused_data.lstrip(b"\0")
        if not body:
            break
    return bytes(found)


def too_large(limit: int, how: str) -> Refusal:
    """Return what a body over the limit is answered."""
    return Refusal(413, f"the body is larger than {limit:,} bytes {how}")
