"""A log file wherever it lies: here, or in an object store through fsspec; plain, gzip or zstd by its name.

After it: `tasks/read_lines.py` cuts it into blocks.
"""

from __future__ import annotations

import glob
import io
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

from ops.errors import InvalidValue, NotFound, Unavailable

_CHUNK = 256 * 1024
_MEMBERS = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}


class Readable(Protocol):
    """What a log is read from."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, fewer only at the end."""
        ...


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file by its path or its address such as `s3://bucket/log.jsonl.gz`."""

    address: str

    @property
    def is_remote(self) -> bool:
        """Whether fsspec has to fetch it."""
        return "://" in self.address

    @property
    def suffixes(self) -> list[str]:
        """The parts of its name behind the dots."""
        return PurePosixPath(self.address).suffixes

    @property
    def is_packed(self) -> bool:
        """Whether it has to be unpacked to be read."""
        return self._packing is not None

    @property
    def _packing(self) -> str | None:
        return _MEMBERS.get(self.suffixes[-1] if self.suffixes else "")

    def size(self) -> int:
        """Return its size in bytes as it is stored.

        Raises:
            NotFound: it is not there.
        """
        with self._raw() as stream:
            return stream.seek(0, io.SEEK_END)

    @contextmanager
    def open(self, skip: int = 0) -> Iterator[Readable]:
        """Open it unpacked, behind its first `skip` bytes.

        Raises:
            NotFound, Unavailable, InvalidValue: it is not there, cannot be read, or is no file.
        """
        with self._raw() as raw:
            if self._packing is None:
                raw.seek(skip)
                yield raw
                return
            stream = Unpacked(raw, self._packing, f"file {self.address}")
            while skip > 0 and (chunk := stream.read(min(skip, _CHUNK))):
                skip -= len(chunk)
            yield stream

    @contextmanager
    def stored(self) -> Iterator[IO[bytes]]:
        """Open it as it is stored, for formats that unpack themselves."""
        with self._raw() as stream:
            yield stream

    @contextmanager
    def _raw(self) -> Iterator[IO[bytes]]:
        try:
            stream = self._open_remote() if self.is_remote else self._open_local()
        except FileNotFoundError:
            raise NotFound("file", self.address) from None
        except (ImportError, ValueError) as error:  # no such store, or its package is not installed
            raise Unavailable(f"file {self.address}", error) from None
        except OSError as error:
            raise Unavailable(f"file {self.address}", error.strerror or error) from None
        with stream:
            yield stream

    def _open_local(self) -> IO[bytes]:
        path = Path(self.address)
        if not stat.S_ISREG(path.stat().st_mode):
            raise InvalidValue("file", self.address, "a file that can be read twice (no folder, pipe or device)")
        return path.open("rb")

    def _open_remote(self) -> IO[bytes]:
        stream: IO[bytes] = _fsspec().open(self.address, "rb").open()
        return stream


def files_of(address: str) -> list[LogFile]:
    """Return the files that a path, a glob or a remote address names, in the order of their names."""
    if "://" not in address:
        return [LogFile(name) for name in sorted(glob.glob(address, recursive=True))]  # noqa: PTH207  absolute globs
    try:
        found = _fsspec().open_files(address, "rb")
    except (OSError, ValueError, ImportError) as error:
        raise Unavailable(address, error) from None
    return sorted((LogFile(f"{file.fs.unstrip_protocol(file.path)}") for file in found), key=lambda file: file.address)


def _fsspec() -> Any:
    import fsspec

    return fsspec


class Unpacked:
    """Reads gzip or zstd as it is written, member by member; what stood before a cut is read before the cut is told."""

    def __init__(self, raw: IO[bytes], packing: str, name: str) -> None:
        self._raw, self._packing, self._name = raw, packing, name
        self._member: Any = None
        self._left = b""  # packed bytes that the member has not taken yet

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, fewer only at the end.

        Raises:
            Unavailable: damaged or cut, when nothing is left to read before that.
        """
        parts: list[bytes] = []
        wanted = size
        while wanted > 0:
            try:
                part = self._next(wanted)
            except (zlib.error, EOFError, _zstd_error()) as error:
                if parts:
                    break  # told at the next call
                raise Unavailable(self._name, f"damaged or cut {self._packing} ({error})") from None
            if not part:
                break
            parts.append(part)
            wanted -= len(part)
        return b"".join(parts)

    def _next(self, limit: int) -> bytes:
        while self._member is not None or self._begin_member():
            packed, at_end = self._left, False
            if not packed and getattr(self._member, "needs_input", True):
                packed = self._raw.read(_CHUNK)
                at_end = not packed
            part: bytes = self._member.decompress(packed, limit)
            self._left = getattr(self._member, "unconsumed_tail", b"")
            if self._member.eof:
                self._left, self._member = self._member.unused_data, None
            elif at_end and not part:
                raise EOFError("it ends in the middle")
            if part:
                return part
        return b""

    def _begin_member(self) -> bool:
        """Begin the next member; False at the end. Zeros between members are padding."""
        self._left = self._left.lstrip(b"\0")
        while not self._left and (chunk := self._raw.read(_CHUNK)):
            self._left = chunk.lstrip(b"\0")
        if self._left:
            self._member = zlib.decompressobj(wbits=31) if self._packing == "gzip" else _zstd().ZstdDecompressor()
        return bool(self._left)


def _zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


def _zstd_error() -> type[Exception]:
    error: type[Exception] = _zstd().ZstdError
    return error
