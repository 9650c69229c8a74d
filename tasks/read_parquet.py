"""Read a Parquet file as JSON lines, batch by batch: positions count rows.

Before it: `tasks/log_file.py` opens it. After it: `tasks/load_file.py`, as for lines.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from ops.errors import InvalidValue, Unavailable
from tasks.log_file import LogFile
from tasks.read_lines import Block, Head, Position
from tasks.sources.interface import Lines

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

_ROWS = 10_000
_FOOTER = 64 * 1024


def read_head(file: LogFile) -> Head:
    """Return the identity of a file: its footer, which tells of every row group."""
    with file.stored() as stream:
        size = stream.seek(0, io.SEEK_END)
        stream.seek(max(0, size - _FOOTER))
        return Head(b"", hashlib.sha256(stream.read()).hexdigest())


def column_names(file: LogFile) -> list[str]:
    """Return the names of a file's columns.

    Raises:
        Unavailable, InvalidValue: as `read_blocks`.
    """
    with file.stored() as stream:
        names: list[str] = _open(stream, file.address).schema_arrow.names
        return names


def read_blocks(file: LogFile, start: Position | None = None) -> Iterator[Block]:
    """Yield the rows behind a position.

    Raises:
        Unavailable: not a Parquet file, or a damaged one.
        InvalidValue: pyarrow is not installed.
    """
    at = start or Position()
    skip = at.lines
    with file.stored() as stream:
        for rows in _batches(stream, file.address):
            dropped, skip = rows[:skip], max(0, skip - len(rows))
            kept = rows[len(dropped) :]
            if kept:
                lines = Lines(b"\n".join(map(_json, kept)), at.lines + 1, at.crc)
                at = Position(at.offset + len(kept), at.lines + len(kept), lines.crc_after)
                yield Block(lines, at)


def _batches(stream: Any, name: str) -> Iterator[list[dict[str, Any]]]:
    opened = _open(stream, name)
    try:
        for batch in opened.iter_batches(batch_size=_ROWS):
            yield batch.to_pylist()
    except (OSError, ValueError) as error:
        raise Unavailable(f"file {name}", f"damaged Parquet ({error})") from None


def _open(stream: Any, name: str) -> ParquetFile:
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise InvalidValue("kind", "parquet", 'readable without pyarrow: pip install "watchkeeper[parquet]"') from None
    try:
        return ParquetFile(stream)
    except (OSError, ValueError) as error:
        raise Unavailable(f"file {name}", f"not readable as Parquet ({error})") from None


def _json(row: dict[str, Any]) -> bytes:
    return msgspec.json.encode(row, enc_hook=str)
