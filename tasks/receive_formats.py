"""What each route of the receiver takes and answers; pure.

Before it: `tasks/receive_usage.py` has a whole body. After it: a `Batch`, and the words of the answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import TypeVar

import msgspec

from ops.errors import InvalidValue
from tasks.refuse_rows import Origin
from tasks.request_body import Refusal
from tasks.sources import litellm, otel
from tasks.sources.by_line import read_rows
from tasks.sources.interface import Batch, Row

JSON, PROTOBUF = "application/json", "application/x-protobuf"
MOST_ROWS = 50_000  # of a post: each is a row of a table, however short it is
_SHOWN = 3
T = TypeVar("T")


def within_limit(rows: Iterable[T]) -> list[T]:
    """Return the rows of a post.

    Raises:
        Refusal: more than MOST_ROWS.
    """
    found = list(islice(rows, MOST_ROWS + 1))
    if len(found) > MOST_ROWS:
        raise Refusal(413, f"the post has more than {MOST_ROWS:,} rows")
    return found


class Format(ABC):
    """The way that one kind of sender speaks."""

    path: str
    origin: Origin

    @abstractmethod
    def media(self, content_type: str) -> str:
        """Return in which of our ways the body is written, and is answered; see `Refusal`."""

    @abstractmethod
    def read(self, body: bytes, media: str, now: datetime) -> Batch:
        """Return what a body holds.

        Raises:
            InvalidValue: nothing at all that could be kept.
        """

    def busy(self, agent: str) -> int:  # noqa: ARG002  not every format asks who it is
        """Return the status that tells a sender, by its user agent, to come again later."""
        return 503

    @abstractmethod
    def stored(self, batch: Batch, media: str) -> bytes:
        """Return the body of the answer to a post that is stored."""

    @abstractmethod
    def refused(self, refusal: Refusal, media: str) -> bytes:
        """Return the body of any other answer."""


class LiteLLM(Format):
    """LiteLLM's generic API logger: its payloads as an array, as lines or one a post.

    It sends again what was answered 5xx, and loses what was answered 429.
    """

    path = "/litellm"
    origin = Origin("receive-litellm", "litellm", "receive:/litellm")

    def media(self, content_type: str) -> str:  # noqa: ARG002  it says application/json of lines, too
        """Return JSON."""
        return JSON

    def read(self, body: bytes, media: str, now: datetime) -> Batch:  # noqa: ARG002
        """Return the payloads' events."""
        payloads = within_limit(litellm.rows_of(body))
        if not litellm.can_be_read(payloads[0] if payloads else body):
            raise InvalidValue(
                "body", body[:60].decode(errors="replace"), "JSON: an array, an object, or one in each line"
            )
        return read_rows((Row(position, raw, "") for position, raw in enumerate(payloads, 1)), litellm.parse, now)

    def stored(self, batch: Batch, media: str) -> bytes:  # noqa: ARG002
        """Return the counts."""
        return msgspec.json.encode({"read": batch.read, "rejected": len(batch.rejects), "why": _reasons(batch)})

    def refused(self, refusal: Refusal, media: str) -> bytes:  # noqa: ARG002
        """Return the reason."""
        return msgspec.json.encode({"error": refusal.reason})


class Otlp(Format):
    """OTLP over HTTP: a request for the export of spans, in JSON or protobuf, answered in kind."""

    path = "/v1/traces"
    origin = Origin("receive-otel", "otel", "receive:/v1/traces")

    def media(self, content_type: str) -> str:
        """Return the media type without its parameters."""
        media = content_type.partition(";")[0].strip().lower()
        if media not in (JSON, PROTOBUF):
            raise Refusal(415, f"content-type {media[:60]!r} is neither {JSON} nor {PROTOBUF}")
        return media

    def busy(self, agent: str) -> int:
        """Return 429, but not to Python's exporter: it sends again what was answered 5xx only."""
        return 503 if "python" in agent.lower() else 429

    def read(self, body: bytes, media: str, now: datetime) -> Batch:
        """Return the events of spans, and the scores of evaluations."""
        if media == PROTOBUF:
            from tasks.sources.otlp_protobuf import to_json

            body = to_json(body)
        parts = within_limit(otel.split(Row(1, body, "")))  # raises for what is no request: nothing to keep
        rows = (replace(part, position=position) for position, part in enumerate(parts, 1))
        return read_rows(rows, otel.parse, now)

    def stored(self, batch: Batch, media: str) -> bytes:
        """Return an ExportTraceServiceResponse; `partial_success` only when spans were rejected."""
        rejected, why = len(batch.rejects), _reasons(batch)
        if media == PROTOBUF:
            from tasks.sources.otlp_protobuf import partial_success

            return partial_success(rejected, why)
        if not rejected:
            return b"{}"
        return msgspec.json.encode({"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": why}})

    def refused(self, refusal: Refusal, media: str) -> bytes:
        """Return a google.rpc.Status, as the specification asks for."""
        if media != PROTOBUF:
            return msgspec.json.encode({"message": refusal.reason})
        from tasks.sources.otlp_protobuf import status

        return status(refusal.reason)


def _reasons(batch: Batch) -> str:
    shown = "; ".join(reject.reason for reject in batch.rejects[:_SHOWN])
    more = len(batch.rejects) - _SHOWN
    return f"{shown}; and {more} more" if more > 0 else shown


FORMATS: tuple[Format, ...] = (LiteLLM(), Otlp())
