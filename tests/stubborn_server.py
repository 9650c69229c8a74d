"""A server on loopback that keeps whoever asks waiting, each time in another way, until the block ends."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, cycle, repeat

OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"content-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
Behave = Callable[[socket.socket, threading.Event], None]


def slowly(answer: bytes) -> Behave:
    """Read a request and answer it byte for byte."""
    return lambda connection, over: _send(connection, over, (answer[i : i + 1] for i in range(len(answer))))


def drips(start: bytes, *pieces: bytes) -> Behave:
    """Read a request, send the start of an answer, then the pieces, one after the other, again and again."""
    return lambda connection, over: _send(connection, over, chain([start], cycle(pieces)))


def pours(start: bytes, piece: bytes) -> Behave:
    """Read a request and send as much as is taken."""
    return lambda connection, over: _send(connection, over, chain([start], repeat(piece * 1000)), every_s=0)


def closes(start: bytes = b"") -> Behave:
    """Read a request, send the start of an answer, and no more."""
    return lambda connection, over: _send(connection, over, [start], every_s=0)


def _send(connection: socket.socket, over: threading.Event, pieces: Iterable[bytes], every_s: float = 0.002) -> None:
    connection.recv(65536)
    for piece in pieces:
        connection.sendall(piece)
        if over.wait(every_s):
            return


def reads_nothing(_: socket.socket, over: threading.Event) -> None:
    """Take a connection and nothing from it."""
    over.wait()


ENDLESS: dict[str, Behave] = {
    "a status line byte for byte": drips(b"HTTP/1.1 200 ", b"O"),
    "a head byte for byte": drips(OK + b"x-name: ", b"a"),
    "a head line for line": drips(OK, b"a: b\r\n"),
    "100 Continue for ever": drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "103 Early Hints as fast as it can": pours(b"", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"),
    "a body byte for byte": drips(OK + b"content-length: 1000000\r\n\r\n", b" "),
    "chunks byte for byte": drips(OK + CHUNKED, b"1", b"\r\n", b" ", b"\r\n"),
    "a chunk's size byte for byte": drips(OK + CHUNKED + b"1;", b"a"),
    "trailers line for line": drips(OK + CHUNKED + b"0\r\n", b"a: b\r\n"),
    "silence": reads_nothing,
}


@contextmanager
def stubborn_server(behave: Behave, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Yield the address of a server that behaves so on every connection."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, behave, tls, over), daemon=True).start()
        yield f"http{'s' if tls else ''}://127.0.0.1:{listener.getsockname()[1]}"
        over.set()
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, behave: Behave, tls: ssl.SSLContext | None, over: threading.Event) -> None:
    with suppress(OSError):  # the block ends
        while not over.is_set():
            connection, _ = listener.accept()
            threading.Thread(target=_serve, args=(connection, behave, tls, over), daemon=True).start()


def _serve(connection: socket.socket, behave: Behave, tls: ssl.SSLContext | None, over: threading.Event) -> None:
    with suppress(OSError), tls.wrap_socket(connection, server_side=True) if tls else connection as stream:
        behave(stream, over)


@contextmanager
def full_server() -> Iterator[str]:
    """Yield the address of a server whose queue is full: nobody accepts, and no connection comes about."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for connection in waiting:
            connection.setblocking(False)
            connection.connect_ex(listener.getsockname())
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for connection in waiting:
                connection.close()
