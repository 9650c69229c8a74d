"""Scores of answers, one JSON object a line, with the fields of `ops.scores.Score`."""

from __future__ import annotations

import msgspec

from ops.errors import InvalidValue
from ops.scores import Score
from tasks.sources.by_line import by_line
from tasks.sources.interface import FileKind, required

_DECODER = msgspec.json.Decoder(Score)


def parse(line: bytes) -> tuple[Score]:
    """Turn one line into a score.

    Raises:
        InvalidValue: not JSON, or a field of another type; the text says where.
    """
    try:
        return (_DECODER.decode(line),)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidValue("line", line[:60].decode(errors="replace"), f"a score ({error})") from None


KIND = FileKind(by_line(parse), marks=(required(Score),))
