"""LiteLLM's StandardLoggingPayload, as its loggers write and post it: an object a line, one pretty, an array.

Before it: a file of lines, or `tasks/receive_usage.py` has a body. Between: `litellm_payload.py` makes the events.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from functools import partial

import msgspec

from ops.errors import InvalidValue
from ops.usage import UsageEvent
from tasks.settings import Source
from tasks.sources.interface import Batch, Decoder, FileKind, Lines, Reject, Row, raw_of, required, validated
from tasks.sources.litellm_payload import Payload, event


class _SpendRow(msgspec.Struct):
    request_id: str
    startTime: str


_DECODER = msgspec.json.Decoder(Payload)
_SPEND_ROWS = msgspec.json.Decoder(_SpendRow)
_ANYTHING = msgspec.json.Decoder(msgspec.Raw)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_SPEND_ROW = "but a row of LiteLLM_SpendLogs: write one a line, jq -c '.[]', and load it with --kind litellm_rows"
_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def parse(line: bytes) -> tuple[UsageEvent]:
    """Turn one payload into an event.

    Raises:
        InvalidValue: not JSON, or a field of another type; the text says where.
    """
    try:
        payload = _DECODER.decode(line)
    except _MALFORMED as error:
        limit = f"a LiteLLM payload ({_SPEND_ROW if _is_spend_row(line) else error})"
        raise InvalidValue("line", line[:60].decode(errors="replace"), limit) from None
    return (event(payload),)


def _is_spend_row(line: bytes) -> bool:
    try:
        _SPEND_ROWS.decode(line)
    except _MALFORMED:
        return False
    return True


def rows_of(body: bytes) -> Iterator[bytes]:
    """Split what a logger sends (an array, an object a line, or one object, pretty or not) into payloads as they came.

    Raises:
        InvalidValue: an array that is not whole.
    """
    text = body.strip()
    if text.startswith(b"["):
        return _elements(text)
    return iter([text]) if can_be_read(text) else (line for line in text.split(b"\n") if line.strip())


def _elements(array: bytes) -> Iterator[bytes]:
    try:
        return map(bytes, _ARRAY.decode(array))
    except _MALFORMED:
        pass
    try:  # Python's own writer lets NaN pass: one such number must not cost the other payloads
        return map(raw_of, json.loads(array))
    except (ValueError, RecursionError) as error:
        raise InvalidValue(
            "body", array[:60].decode(errors="replace"), f"JSON: an array that is whole ({error})"
        ) from None


def is_json(text: bytes) -> bool:
    """Whether a text is one JSON document."""
    try:
        _ANYTHING.decode(text)
    except _MALFORMED:
        return False
    return True


def can_be_read(text: bytes) -> bool:
    """Whether a text is one JSON document to Python, which lets NaN and half a character pass."""
    if is_json(text):
        return True
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _decoder(source: Source, first_line: bytes, now: datetime) -> Decoder:  # noqa: ARG001  the kind's signature
    start = first_line.strip()
    is_pretty = start == b"{" or (start.startswith(b"[") and not is_json(start))
    return partial(_decode, now=now, is_pretty=is_pretty)


def _decode(block: Lines, now: datetime, *, is_pretty: bool) -> Batch:
    """Return the events of a block; a pretty document is one row of all its lines."""
    batch = Batch()
    for row in block.rows([block.raw.count(b"\n") + 1] if is_pretty else None):
        try:
            for part in _parts(row, is_pretty=is_pretty):
                _add(batch, part, now)
        except InvalidValue as error:
            batch.rejects.append(Reject.of(error, row.position, row.raw, row.identity))
    return batch


def _parts(row: Row, *, is_pretty: bool) -> Iterator[Row]:
    """Yield the payloads of a row: itself, or the elements of an array, each with an identity of its own."""
    if row.raw.lstrip().startswith(b"["):
        for number, raw in enumerate(rows_of(row.raw)):
            yield Row(row.position, raw, f"{row.identity}-{number}")
    elif is_pretty and not is_json(row.raw):
        shown = row.raw[:60].decode(errors="replace")
        raise InvalidValue("line", shown, "one whole JSON document of at most 16 MB (or one object a line: jq -c .)")
    else:
        yield row


def _add(batch: Batch, row: Row, now: datetime) -> None:
    try:
        batch.add([validated(record, now) for record in parse(row.raw)])
    except InvalidValue as error:
        batch.rejects.append(Reject.of(error, row.position, row.raw, row.identity))


KIND = FileKind(_decoder, marks=(required(Payload),))
