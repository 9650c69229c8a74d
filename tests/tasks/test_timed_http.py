from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ops.errors import Unavailable
from tasks.http import Courier, Limits, Turnstile, received
from tasks.resources import open_http
from tasks.timed_http import limited
from tests.stubborn_server import (
    CHUNKED,
    ENDLESS,
    OK,
    WHOLE,
    Behave,
    closes,
    drips,
    full_server,
    pours,
    reads_nothing,
    slowly,
    stubborn_server,
)

LONGEST_S = 0.2
IN_TIME_S = 5.0  # of a busy machine; what ends nothing would go on for ever
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a key and a certificate for 127.0.0.1."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    file.write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain) + made.public_bytes(encoding)
    )
    return file


@pytest.fixture
def tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Return what a server needs whom our clients trust."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@contextmanager
def ended(kind: type[Exception], match: str, longest_s: float = LONGEST_S) -> Iterator[None]:
    """Check that the block ends with such an error, not before its time and soon after it."""
    begun = time.monotonic()
    with pytest.raises(kind, match=match):
        yield
    assert longest_s <= time.monotonic() - begun < longest_s + IN_TIME_S


def get(url: str) -> httpx.Request:
    return httpx.Request("GET", f"{url}/v1/rows?key=secret")


def ask(url: str, longest_s: float = LONGEST_S) -> httpx.Response:
    with open_http() as http:
        return received(http, get(url), Limits(longest_s=longest_s))


WHOLE_LIMIT = r"^no whole answer within 0\.2 s$"


@pytest.mark.parametrize("behave", ENDLESS.values(), ids=ENDLESS)
def test_exchange_ends_within_its_time(behave: Behave) -> None:
    with stubborn_server(behave) as url, ended(httpx.ReadTimeout, WHOLE_LIMIT):
        ask(url)


@pytest.mark.parametrize("behave", ENDLESS.values(), ids=ENDLESS)
def test_exchange_over_tls_ends_within_its_time(behave: Behave, tls: ssl.SSLContext) -> None:
    with stubborn_server(behave, tls) as url, ended(httpx.ReadTimeout, WHOLE_LIMIT):
        ask(url)


def test_chunks_that_are_already_here_end_with_the_time() -> None:
    with stubborn_server(pours(OK + CHUNKED, b"1\r\na\r\n")) as url, open_http() as http:
        answer = http.send(limited(get(url), 0.5), stream=True)
        pieces = answer.iter_raw()
        assert next(pieces) == b"a"
        time.sleep(0.5)
        with pytest.raises(httpx.ReadTimeout, match=r"^no whole answer within 0\.5 s$"):
            next(pieces)
        answer.close()


def test_handshake_that_does_not_come_ends_before_anything_was_sent() -> None:
    with stubborn_server(reads_nothing) as url, ended(httpx.ConnectTimeout, WHOLE_LIMIT):
        ask(url.replace("http:", "https:"))


def test_connection_that_nobody_accepts_ends_before_anything_was_sent() -> None:
    with full_server() as url, ended(httpx.ConnectTimeout, WHOLE_LIMIT):
        ask(url)


def test_upload_that_nobody_reads_ends_within_its_time() -> None:
    with stubborn_server(reads_nothing) as url, open_http() as http, ended(httpx.ReadTimeout, WHOLE_LIMIT):
        received(http, httpx.Request("POST", url, content=bytes(50_000_000)), Limits(longest_s=LONGEST_S))


DRIPPING_PROXY: dict[str, tuple[str, type[httpx.TimeoutException]]] = {
    "asked itself": ("http://vendor.test", httpx.ReadTimeout),
    "a tunnel": ("https://vendor.test", httpx.ConnectTimeout),  # CONNECT was sent, the request was not
}


@pytest.mark.parametrize(("url", "kind"), DRIPPING_PROXY.values(), ids=DRIPPING_PROXY)
def test_proxy_that_drips_ends_within_the_time(
    url: str, kind: type[httpx.TimeoutException], monkeypatch: pytest.MonkeyPatch
) -> None:
    with stubborn_server(ENDLESS["a head byte for byte"]) as proxy, ended(kind, WHOLE_LIMIT):
        monkeypatch.setenv("ALL_PROXY", proxy)
        ask(url)


def test_proxy_that_is_silent_ends_at_the_clients_patience_before_the_request_was_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with stubborn_server(reads_nothing) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy)
        words = r"^after 0\.[12] s, 0\.1 s of them without a sign$"
        with open_http(0.1) as http, pytest.raises(httpx.ConnectTimeout, match=words):
            http.send(limited(get("https://vendor.test"), 30))


TUNNEL = b"HTTP/1.1 200 Connection established\r\n\r\n"


def closes_in_the_handshake(connection: socket.socket, over: threading.Event) -> None:
    closes(TUNNEL)(connection, over)
    connection.recv(65536)  # what is closed with bytes unread is reset


NO_TUNNEL: dict[str, tuple[Behave, type[httpx.TransportError], str]] = {
    "wants a password": (drips(b"HTTP/1.1 407 Who?\r\ncontent-length: 0\r\n\r\n"), httpx.ProxyError, "^407 Who[?]$"),
    "closes": (closes(), httpx.ConnectError, "^Server disconnected without sending a response"),
    "speaks no HTTP": (closes(b"SSH-2.0-OpenSSH\r\n\r\n"), httpx.ConnectError, "illegal status line"),
    "closes in the handshake": (closes_in_the_handshake, httpx.ConnectError, "EOF|reset"),
}


@pytest.mark.parametrize(("behave", "kind", "match"), NO_TUNNEL.values(), ids=NO_TUNNEL)
def test_proxy_without_a_tunnel_was_sent_no_request(
    behave: Behave, kind: type[httpx.TransportError], match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stubborn_server(behave) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy)
        with pytest.raises(kind, match=match):
            ask("https://vendor.test", longest_s=30)


def test_answer_through_a_tunnel_that_does_not_come_was_asked_for(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def behave(connection: socket.socket, over: threading.Event) -> None:
        connection.recv(65536)
        connection.sendall(TUNNEL)
        with tls.wrap_socket(connection, server_side=True) as stream:
            closes()(stream, over)

    with stubborn_server(behave) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy)
        with pytest.raises(httpx.RemoteProtocolError, match="disconnected"):
            ask("https://127.0.0.1", longest_s=30)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_port_of_a_proxy_that_no_system_has_is_no_connection(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{host}:99999")
    with pytest.raises(httpx.ConnectError, match="port must be 0-65535"):
        ask("https://vendor.test", longest_s=30)


def test_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with stubborn_server(drips(WHOLE)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        assert ask("http://vendor.test").json() == {}
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with pytest.raises(httpx.ConnectError):
            ask("http://127.0.0.1:1")


POURED: dict[str, Behave] = {
    "one header": pours(OK + b"x: ", b"a"),
    "many headers": pours(OK, b"a: b\r\n"),
    "a status line": pours(b"HTTP/1.1 200 ", b"O"),
    "trailers": pours(OK + CHUNKED + b"0\r\n", b"a: b\r\n"),
}


@pytest.mark.parametrize("behave", POURED.values(), ids=POURED)
def test_head_that_is_too_large_is_no_answer(behave: Behave) -> None:
    with stubborn_server(behave) as url, pytest.raises(httpx.RemoteProtocolError, match="too long"):
        ask(url, longest_s=30)


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "over TLS"])
def test_slow_answer_within_the_time_is_taken_and_its_connection_used_again(
    is_encrypted: bool, tls: ssl.SSLContext
) -> None:
    connections: list[object] = []

    def behave(connection: socket.socket, over: threading.Event) -> None:
        connections.append(connection)
        for _ in range(2):
            slowly(WHOLE)(connection, over)

    with stubborn_server(behave, tls if is_encrypted else None) as url, open_http() as http:
        for _ in range(2):
            assert received(http, get(url), Limits(longest_s=20)).json() == {}
    assert len(connections) == 1


def test_connection_of_an_exchange_that_was_ended_is_not_used_again() -> None:
    answers = iter([ENDLESS["a body byte for byte"], drips(WHOLE)])
    with stubborn_server(lambda *given: next(answers)(*given)) as url, open_http() as http:
        with pytest.raises(httpx.ReadTimeout):
            received(http, get(url), Limits(longest_s=LONGEST_S))
        assert received(http, get(url), Limits(longest_s=20)).json() == {}


def test_silence_ends_at_the_clients_patience_and_says_so() -> None:
    words = r"^after 0\.[12] s, 0\.1 s of them without a sign$"
    with stubborn_server(reads_nothing) as url, open_http(0.1) as http, pytest.raises(httpx.ReadTimeout, match=words):
        http.send(limited(get(url), 30))


def test_error_names_the_host_the_time_and_no_secret() -> None:
    with stubborn_server(drips(OK, b"a: b\r\n")) as url, open_http() as http:
        courier = Courier(http, Turnstile(1e9), lambda _: None, Limits(tries=2, longest_s=LONGEST_S))
        with pytest.raises(Unavailable) as caught:
            courier.fetch(get(url))
    reason = "ReadTimeout no whole answer within 0.2 s, 2 times"
    assert str(caught.value) == f"127.0.0.1/v1/rows is unavailable: {reason}"
    assert caught.value.retryable


def test_connection_that_is_refused_says_why() -> None:
    with open_http() as http, pytest.raises(httpx.ConnectError, match=r"^\[Errno 111\] Connection refused$"):
        http.get("http://127.0.0.1:1/")


def test_certificate_that_nobody_vouches_for_says_why(tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with stubborn_server(drips(WHOLE), tls) as url, pytest.raises(httpx.ConnectError, match="self-signed"):
        ask(url)
