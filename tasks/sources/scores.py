"""Scores of answers, one JSON object a line, with the fields of `ops.scores.Score`."""

from __future__ import annotations

from typing import Any

import msgspec

from ops.errors import InvalidValue
from ops.scores import Score
from tasks.settings import Source

_DECODER = msgspec.json.Decoder(Score)


def parser(source: Source, first_line: bytes) -> Any:  # noqa: ARG001  a registry's signature
    """Return the parser; nothing in the source's settings changes it."""
    return parse


def parse(line: bytes, position: int, fingerprint: str) -> Score:  # noqa: ARG001
    """Turn one line into a score.

    Raises:
        InvalidValue: not JSON, or a field of another type; the text says where.
    """
    try:
        return _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidValue("line", line[:60].decode(errors="replace"), f"a score ({error})") from None
