from __future__ import annotations

import gzip
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import sqlalchemy as sa
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pydantic import SecretStr, ValidationError

from ops.errors import InvalidValue, Unavailable
from tasks.embedded_postgres import Cluster
from tasks.receive_usage import checked_token, instructions, serve
from tasks.resources import create_database
from tasks.serve_http import listen
from tasks.settings import Receiver, Settings
from tasks.stores import schema
from tasks.stores.tables import ingest_sources, usage_events, usage_rejects
from tasks.write_usage import Target
from tests.otlp import CHAT, EVENT_ID, line, protobuf, span
from tests.receiver import NOW, START, TOKEN, bomb, payload, post, post_ids, receiving
from tests.recount import differences
from tests.waiting import are_waiting

JSON, PROTOBUF = "application/json", "application/x-protobuf"


def ids(engine: sa.Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.execute(sa.select(usage_events.c.event_id).order_by("event_id")).scalars())


def rejects(engine: sa.Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(sa.select(usage_rejects)))


# What is taken


def test_payload_is_stored_when_its_post_is_acknowledged(engine: sa.Engine) -> None:
    with receiving(engine) as client:
        answer = post_ids(client, "a", "b")
        assert (answer.status_code, answer.json()) == (200, {"read": 2, "rejected": 0, "why": ""})
        assert ids(engine) == ["a", "b"]
    assert differences(engine) == []


def test_real_payloads_are_stored_in_each_of_the_three_shapes(engine: sa.Engine, shared_data: Path) -> None:
    lines = (shared_data / "litellm" / "standard_logging_payload.jsonl").read_bytes().splitlines()
    with receiving(engine, now=datetime(2026, 11, 24, tzinfo=UTC)) as client:
        for body in (b"[" + b",".join(lines) + b"]", b"\n".join(lines), *lines):
            assert post(client, body).status_code == 200
    assert (len(ids(engine)), rejects(engine)) == (len(lines), [])


def test_spans_in_json_and_in_protobuf_are_the_same_event(engine: sa.Engine) -> None:
    with receiving(engine) as client:
        in_json = post(client, line(span()), "/v1/traces")
        in_protobuf = post(client, protobuf(span()), "/v1/traces", content_type=PROTOBUF)
    assert [(one.status_code, one.content) for one in (in_json, in_protobuf)] == [(200, b"{}"), (200, b"")]
    assert in_protobuf.headers["content-type"] == PROTOBUF
    assert ids(engine) == [EVENT_ID]


def test_partial_success_counts_the_spans_that_are_rejects_now(engine: sa.Engine) -> None:
    bad = span({**CHAT, "gen_ai.usage.input_tokens": "many"}, spanId="1111111111111111")
    with receiving(engine) as client:
        for _ in range(2):  # an exporter that did not hear the answer sends the same again
            answer = post(client, line(span(), bad), "/v1/traces")
            assert (answer.status_code, answer.json()["partialSuccess"]["rejectedSpans"]) == (200, "1")
    (reject,) = rejects(engine)
    assert (ids(engine), reject.place, reject.field, reject.position) == (
        [EVENT_ID], "receive:/v1/traces", "gen_ai.usage.input_tokens", 2,
    )  # fmt: skip


def test_bad_rows_are_acknowledged_because_they_are_kept(engine: sa.Engine) -> None:
    body = msgspec.json.encode([payload("a"), {"id": "b"}, payload("c", prompt_tokens=-1)])
    with receiving(engine) as client:
        answers = [post(client, body) for _ in range(2)]
    assert [(one.status_code, one.json()["rejected"]) for one in answers] == [(200, 2)] * 2
    assert ids(engine) == ["a"]
    assert sorted((row.place, row.position) for row in rejects(engine)) == [
        ("receive:/litellm", 2),
        ("receive:/litellm", 3),
    ]


PACKED: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}


@pytest.mark.parametrize("encoding", PACKED)
def test_body_is_unpacked(encoding: str, engine: sa.Engine) -> None:
    with receiving(engine) as client:
        body = PACKED[encoding](msgspec.json.encode(payload("a")))
        assert post(client, body, content_encoding=encoding).status_code == 200
    assert ids(engine) == ["a"]


def test_large_body_is_taken_while_small_ones_go_on(engine: sa.Engine) -> None:
    many = msgspec.json.encode([payload(f"m{number:05}") for number in range(20_000)])
    assert len(many) > 3_000_000
    with receiving(engine) as client, ThreadPoolExecutor(1) as pool:
        large = pool.submit(post, client, gzip.compress(many), content_encoding="gzip")
        assert post_ids(client, "a").status_code == 200
        assert large.result().json()["read"] == 20_000
    assert len(ids(engine)) == 20_001


def test_body_in_pieces_without_a_length_is_taken(engine: sa.Engine) -> None:
    body = msgspec.json.encode(payload("a"))
    with receiving(engine) as client:
        pieces = (body[at : at + 7] for at in range(0, len(body), 7))
        assert client.post("/litellm", content=pieces).status_code == 200
    assert ids(engine) == ["a"]


def test_sources_are_known_to_be_alive(engine: sa.Engine) -> None:
    with receiving(engine) as client:
        post_ids(client, "a")
        post(client, line(span({})), "/v1/traces")
    with engine.connect() as connection:
        rows = {row.source: row for row in connection.execute(sa.select(ingest_sources))}
    assert {name: (row.kind, row.last_success_at, row.last_new_at) for name, row in rows.items()} == {
        "receive-litellm": ("litellm", NOW, NOW), "receive-otel": ("otel", NOW, None),
    }  # fmt: skip


# What is refused

REFUSED: dict[str, tuple[int, str, dict[str, Any]]] = {
    "no token": (401, "token", {"headers": {"authorization": ""}}),
    "a wrong token": (401, "token", {"headers": {"authorization": f"Bearer {TOKEN}x"}}),
    "a token of another scheme": (401, "token", {"headers": {"authorization": f"Basic {TOKEN}"}}),
    "a token with strange letters": (401, "token", {"headers": {"authorization": "Bearer é".encode()}}),
    "a body over the limit": (413, "larger than 100,000 bytes as sent", {"content": b" " * 100_001}),
    "a body over the limit in pieces": (413, "as sent", {"content": (b" " * 9000 for _ in range(1000))}),
    "a bomb": (413, "unpacked", {"content": bomb(50_000_000), "headers": {"content-encoding": "gzip"}}),
    "very many members": (
        413, "pieces", {"content": gzip.compress(b"") * 4000, "headers": {"content-encoding": "gzip"}},
    ),
    "another packing": (415, "'br'", {"content": b"x", "headers": {"content-encoding": "br"}}),
    "a damaged packing": (400, "unpacked", {"content": b"x", "headers": {"content-encoding": "gzip"}}),
    "no JSON": (400, "body: 'hello' is not JSON", {"content": b"hello"}),
    "nothing": (400, "body: '' is not JSON", {"content": b""}),
}  # fmt: skip


@pytest.mark.parametrize(("status", "words", "sent"), REFUSED.values(), ids=REFUSED)
def test_receiver_refuses(status: int, words: str, sent: dict[str, Any], engine: sa.Engine) -> None:
    with receiving(engine, max_body_mb=0.1) as client:
        answer = client.post("/litellm", **{"content": msgspec.json.encode(payload("a")), **sent})
        assert (answer.status_code, words in answer.json()["error"]) == (status, True)
        assert client.get("/healthz").json()["waiting_bytes"] == 0
        assert post_ids(client, "b").status_code == 200
    assert (ids(engine), rejects(engine)) == (["b"], [])


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        pytest.param("text/plain", b"{}", 415, id="another media type"),
        pytest.param(PROTOBUF, b"\xff\xff", 400, id="no protobuf"),
        pytest.param("application/json", b"[]", 400, id="no request"),
    ],
)
def test_otlp_refuses(content_type: str, body: bytes, status: int, engine: sa.Engine) -> None:
    with receiving(engine) as client:
        answer = post(client, body, "/v1/traces", content_type=content_type)
    assert answer.status_code == status
    assert answer.headers["content-type"] == (PROTOBUF if content_type == PROTOBUF else "application/json")


def test_who_shows_no_token_is_asked_for_a_bearers(engine: sa.Engine) -> None:
    with receiving(engine) as client:
        assert client.post("/litellm", headers={"authorization": ""}).headers["www-authenticate"] == "Bearer"


def test_only_posts_are_taken_and_only_at_known_places(engine: sa.Engine) -> None:
    with receiving(engine) as client:
        assert [client.get("/litellm").status_code, client.post("/logs").status_code] == [405, 404]


def test_health_needs_no_token(engine: sa.Engine) -> None:
    with receiving(engine) as client:
        answer = client.get("/healthz", headers={"authorization": ""})
    assert (answer.status_code, answer.json()) == (200, {"database": "ok", "waiting_bytes": 0})


def test_everybody_may_send_when_that_was_asked_for(engine: sa.Engine) -> None:
    with receiving(engine, open_to_all=True) as client:
        assert post_ids(client, "a").status_code == 200


@contextmanager
def half_a_post(client: httpx.Client) -> Iterator[socket.socket]:
    """Send the head of a post and half of its body."""
    url = client.base_url
    with socket.create_connection((url.host, url.port), timeout=60) as sender:
        head = f"POST /litellm HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 4000\r\n\r\n"
        sender.sendall(head.encode() + b"x" * 2000)
        yield sender


def test_slow_body_is_given_up(engine: sa.Engine) -> None:
    with receiving(engine, body_timeout_s=0.1) as client, half_a_post(client) as sender:
        assert sender.recv(4096).startswith(b"HTTP/1.1 408 ")
        assert client.get("/healthz").json()["waiting_bytes"] == 0


def test_connection_without_a_head_is_hung_up_on(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.serve_http.HEAD_TIMEOUT_S", 0.1)
    with receiving(engine) as client:
        address = (client.base_url.host, client.base_url.port)
        with socket.create_connection(address, timeout=60) as silent:
            assert silent.recv(10) == b""
        with socket.create_connection(address, timeout=60) as half:
            half.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n")
            assert half.recv(10) == b""
        with socket.create_connection(address, timeout=60) as second:
            second.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /healthz HTTP/1.1\r\n")
            answer = b""
            while chunk := second.recv(4096):
                answer += chunk
            assert answer.count(b"HTTP/1.1 200") == 1
        assert post_ids(client, "a").status_code == 200


def test_silent_connections_do_not_keep_others_out(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.serve_http.HEAD_TIMEOUT_S", 1.0)
    monkeypatch.setattr("tasks.serve_http.CONNECTIONS", 50)
    with receiving(engine) as client, ExitStack() as open_ones:
        address = (client.base_url.host, client.base_url.port)
        silent = [open_ones.enter_context(socket.create_connection(address, timeout=60)) for _ in range(50)]
        assert post_ids(client, "a").status_code == 503  # which senders try again
        assert [one.recv(10) for one in silent] == [b""] * 50
        assert post_ids(client, "a").status_code == 200
    assert ids(engine) == ["a"]


def empty_parts(spans: int, attributes: int) -> bytes:
    """Return a message of empty spans, the first one with empty attributes."""
    message = ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    scope.spans.extend([Span()] * spans)
    scope.spans[0].attributes.extend([KeyValue()] * attributes)
    return bytes(message.SerializeToString())


MANY: dict[str, tuple[str, str, Callable[[], bytes], str]] = {
    "rows": ("/litellm", JSON, lambda: b"[0" + b",0" * 50_000 + b"]", "50,000 rows"),
    "rows of which one is NaN": ("/litellm", JSON, lambda: b"[NaN" + b",0" * 50_000 + b"]", "50,000 rows"),
    "lines": ("/litellm", JSON, lambda: b"0\n" * 50_001, "50,000 rows"),
    "spans in JSON": ("/v1/traces", JSON, lambda: line(*[{}] * 50_001), "50,000 rows"),
    "spans": ("/v1/traces", PROTOBUF, lambda: empty_parts(50_001, 0), "50,000 rows"),
    "attributes": ("/v1/traces", PROTOBUF, lambda: empty_parts(1, 500_000), "500,000 spans, events and attributes"),
}


@pytest.mark.parametrize(("path", "media", "body", "words"), MANY.values(), ids=MANY)
def test_small_post_of_very_many_is_refused(
    path: str, media: str, body: Callable[[], bytes], words: str, engine: sa.Engine
) -> None:
    with receiving(engine) as client:
        answer = post(client, gzip.compress(body(), 1), path, content_encoding="gzip", content_type=media)
        assert (answer.status_code, f"the post has more than {words}" in answer.text) == (413, True)
        assert client.get("/healthz").json()["waiting_bytes"] == 0
        assert post_ids(client, "a").status_code == 200
    assert (ids(engine), rejects(engine)) == (["a"], [])


def test_post_of_very_many_days_is_refused(engine: sa.Engine) -> None:
    days = [payload(str(day), startTime=START - day * 86_400, endTime=None) for day in range(101)]
    with receiving(engine) as client:
        answer = post(client, msgspec.json.encode(days))
        assert (answer.status_code, "more than 100 days" in answer.text) == (413, True)
    assert ids(engine) == []


@pytest.mark.parametrize("shape", ["%s", "[%s]"], ids=["alone", "in an array"])
def test_payload_with_half_a_character_is_kept_as_a_reject(shape: str, engine: sa.Engine) -> None:
    spoilt = msgspec.json.encode(payload("a", model="half")).replace(b"half", rb"\ud83d")
    with receiving(engine) as client:
        answer = post(client, shape.encode() % spoilt)
        assert (answer.status_code, answer.json()["rejected"]) == (200, 1)
    assert len(rejects(engine)) == 1


def test_post_that_waits_too_long_keeps_its_room_until_it_is_settled(
    engine: sa.Engine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.receive_usage.LONGEST_WAIT_S", 0.1)
    with receiving(engine) as client, engine.connect() as holder:
        holder.execute(sa.text("LOCK TABLE watchkeeper.usage_events IN EXCLUSIVE MODE"))
        answer = post_ids(client, "a")
        assert (answer.status_code, answer.json()["error"]) == (503, "it is not stored yet")
        assert client.get("/healthz").json()["waiting_bytes"] > 0
        holder.rollback()
        assert waiting_bytes_become(client, lambda size: size == 0)
    assert ids(engine) == ["a"]


def waiting_bytes_become(client: httpx.Client, wanted: Callable[[int], bool]) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if wanted(client.get("/healthz").json()["waiting_bytes"]):
            return True
    return False


def test_sender_that_goes_away_leaves_nothing_behind(engine: sa.Engine) -> None:
    with receiving(engine) as client:
        with half_a_post(client):
            assert waiting_bytes_become(client, lambda size: size == 2000)
        assert waiting_bytes_become(client, lambda size: size == 0)
    assert ids(engine) == []


# Pressure, and a database that is away


def test_full_receiver_sends_away_and_loses_nothing_that_it_took(engine: sa.Engine, database_url: str) -> None:
    first, second = (msgspec.json.encode(payload(name, padding="x" * 5500)) for name in ("a", "b"))
    small = line(span())
    room = {"max_body_mb": 0.01, "max_waiting_mb": 0.0125}
    with receiving(engine, **room) as client, engine.connect() as holder, ThreadPoolExecutor(2) as pool:
        holder.execute(sa.text("LOCK TABLE watchkeeper.usage_events IN EXCLUSIVE MODE"))
        taken = [pool.submit(post, client, first)]
        assert are_waiting(database_url, 1)
        full = post(client, msgspec.json.encode(payload("c", padding="x" * 9000)))  # 5.8 + 9.2 kB do not fit
        taken.append(pool.submit(post, client, second))  # 11.6 of 12.5 kB are more than 80 %
        assert waiting_bytes_become(client, lambda size: size > 11_000)
        tight = [post(client, small, "/v1/traces", user_agent=agent) for agent in ("Collector/1", "OTel-Python/1")]
        tight.append(post_ids(client, "d"))
        holder.rollback()
        assert [one.result().status_code for one in taken] == [200, 200]
        assert post_ids(client, "e").status_code == 200
    assert [one.status_code for one in (full, *tight)] == [503, 429, 503, 503]
    assert {one.headers["retry-after"] for one in (full, *tight)} == {"1"}
    assert ids(engine) == ["a", "b", "e"]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A Postgres of this test's own, to stop."""
    memory = Path("/dev/shm")  # noqa: S108  a memory disk, where there is one
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        Path(folder).chmod(0o755)
        cluster = Cluster(Path(folder) / "home", durable=False)
        cluster.start(keep=True)
        yield cluster
        cluster.stop()


def test_stopped_database_acknowledges_nothing_and_the_same_post_is_stored_later(cluster: Cluster) -> None:
    create_database(cluster.url("postgres"), "received")
    engine = sa.create_engine(cluster.url("received"), pool_pre_ping=True, connect_args={"options": "-c timezone=UTC"})
    schema.upgrade(engine)
    with receiving(engine) as client:
        assert post_ids(client, "a").status_code == 200
        cluster.stop()
        away = [post_ids(client, name) for name in ("b", "c")]
        assert [(one.status_code, one.json()["error"]) for one in away] == [(503, "the database is away")] * 2
        assert away[0].headers["retry-after"] == "5"
        assert client.get("/healthz").json()["database"] == "away"
        cluster.start(keep=True)
        assert ids(engine) == ["a"]
        assert [post_ids(client, name).status_code for name in ("b", "c", "a")] == [200] * 3
        assert client.get("/healthz").json()["database"] == "ok"
    assert ids(engine) == ["a", "b", "c"]
    assert differences(engine) == []
    engine.dispose()


def test_post_that_the_database_refuses_is_told_so(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE watchkeeper.usage_events ADD CHECK (user_id <> 'poison')"))
    with receiving(engine) as client:
        answer = post(client, msgspec.json.encode(payload("a", end_user="poison")))
        assert (answer.status_code, answer.json()["error"][:24]) == (500, "the database refuses it;")
        assert post_ids(client, "b").status_code == 200
    assert ids(engine) == ["b"]


# The command


Start = Callable[[], tuple["subprocess.Popen[str]", httpx.Client]]


@pytest.fixture
def start(settings: Settings) -> Iterator[Start]:
    """Start `watchkeeper receive`; returns when it listens."""
    running: list[subprocess.Popen[str]] = []
    clients: list[httpx.Client] = []

    def started() -> tuple[subprocess.Popen[str], httpx.Client]:
        environment = {**os.environ, "WATCHKEEPER_RECEIVER__TOKEN": TOKEN, "PYTHONPATH": str(Path(__file__).parents[2])}
        command = [sys.executable, "-m", "cli.main", "receive", "--port", "0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
        running.append(process)
        assert process.stdout is not None
        address = process.stdout.readline().split()[2]
        headers = {"authorization": f"Bearer {TOKEN}"}
        clients.append(httpx.Client(base_url=address, headers=headers, timeout=60, trust_env=False))
        return process, clients[-1]

    yield started
    for client in clients:
        client.close()
    for process in running:
        process.kill()
        process.communicate()


def send_until_refused(client: httpx.Client, sender: int, known: list[str], enough: threading.Event) -> None:
    """Post two payloads after the other, and note which were acknowledged."""
    with suppress(httpx.TransportError):
        for number in range(100_000):
            names = [f"{sender}-{number:05}-{part}" for part in "ab"]
            if post_ids(client, *names).status_code == 200:
                known.extend(names)
            if len(known) > 200:
                enough.set()


def test_killed_receiver_has_every_acknowledged_row_once_and_the_rest_can_be_sent_again(
    start: Start, engine: sa.Engine
) -> None:
    process, client = start()
    known: list[str] = []
    enough = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        for sender in range(8):
            pool.submit(send_until_refused, client, sender, known, enough)
        assert enough.wait(60)
        process.kill()
    stored = ids(engine)
    assert len(known) > 200
    assert set(known) <= set(stored)
    assert len(stored) == len(set(stored))
    assert differences(engine) == []
    _, again = start()
    names = sorted({f"{sender}-{number:05}-{part}" for sender in range(8) for number in range(60) for part in "ab"})
    for at in range(0, len(names), 2):
        assert post_ids(again, *names[at : at + 2]).status_code == 200
    assert sorted({*names, *stored}) == ids(engine)
    assert differences(engine) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_receiver_that_is_stopped_finishes_what_it_took_and_exits_0(
    number: signal.Signals, start: Start, engine: sa.Engine, database_url: str
) -> None:
    process, client = start()
    with engine.connect() as holder, ThreadPoolExecutor(1) as pool:
        holder.execute(sa.text("LOCK TABLE watchkeeper.usage_events IN EXCLUSIVE MODE"))
        taken = pool.submit(post_ids, client, "a")
        assert are_waiting(database_url, 1)
        process.send_signal(number)
        assert stops_listening(client)
        holder.rollback()
        assert taken.result().status_code == 200
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output.splitlines()[-1]) == (0, "stopped: everything that was acknowledged is stored")
    assert ids(engine) == ["a"]


def stops_listening(client: httpx.Client) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection((client.base_url.host, client.base_url.port), timeout=60).close()
        except OSError:
            return True
    return False


def test_address_that_is_taken_says_so(engine: sa.Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = Receiver(port=other.getsockname()[1])
        with pytest.raises(Unavailable, match=rf"127\.0\.0\.1:{settings.port} is unavailable: .*in use"):
            serve(Target(engine, "default"), settings, None, print, lambda: NOW)


@pytest.mark.parametrize(
    "token",
    ["", "fifteen-letters", " ", " " * 20, "twenty letters of one", "zwölf-böse-jäger-üben", "with-its-line-end-1\n"],
)
def test_token_that_could_be_guessed_is_not_accepted_and_not_shown(token: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        checked_token(Receiver(token=SecretStr(token)), insecure=False)
    assert caught.value.field == "receiver.token"
    assert not token.strip() or token not in str(caught.value)


def test_short_token_is_not_accepted_with_the_insecure_option_either() -> None:
    with pytest.raises(InvalidValue):
        checked_token(Receiver(token=SecretStr("short")), insecure=True)


def test_insecure_option_is_about_a_missing_token_only() -> None:
    assert checked_token(Receiver(), insecure=True) is None
    assert checked_token(Receiver(token=SecretStr(TOKEN)), insecure=True) == TOKEN.encode()


def litellm_settings(text: str) -> Any:
    """Return what the instructions put into LiteLLM's config.yaml."""
    return yaml.safe_load(text.split("config.yaml:\n", 1)[1].split("  and in its environment", 1)[0])


def test_instructions_name_the_settings_of_both_senders_and_no_token() -> None:
    text = instructions("http://127.0.0.1:4318", has_token=True)
    assert litellm_settings(text)["callback_settings"]["watchkeeper"] == {
        "callback_type": "generic_api", "endpoint": "http://127.0.0.1:4318/litellm", "max_retries": 8, "retry_delay": 1,
        "headers": {"Authorization": "Bearer <receiver.token>"},
    }  # fmt: skip
    assert "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:4318/v1/traces" in text
    assert "DEFAULT_BATCH_SIZE=1" in text


def test_instructions_without_a_token_warn_and_keep_the_headers_that_litellm_insists_on() -> None:
    text = instructions("http://127.0.0.1:4318", has_token=False)
    assert "to everybody who reaches it" in text
    assert "Bearer" not in text
    assert litellm_settings(text)["callback_settings"]["watchkeeper"]["headers"] == {}


def test_socket_says_that_it_speaks_tcp_so_that_answers_do_not_wait() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_room_for_less_than_one_post_is_a_wrong_setting() -> None:
    with pytest.raises(ValidationError, match="max_waiting_mb must be at least max_body_mb"):
        Receiver(max_body_mb=20, max_waiting_mb=10)


def test_page_about_receiving_shows_litellm_what_the_start_shows() -> None:
    page = (Path(__file__).parents[2] / "tasks" / "sources" / "README.md").read_text(encoding="utf-8")
    shown = [yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)]
    (theirs,) = (document for document in shown if "litellm_settings" in document)
    assert theirs["callback_settings"]["watchkeeper"].keys() == (
        litellm_settings(instructions("http://x", has_token=True))["callback_settings"]["watchkeeper"].keys()
    )


def test_payloads_keep_the_times_that_they_tell(engine: sa.Engine) -> None:
    with receiving(engine) as client:
        post_ids(client, "a")
    with engine.connect() as connection:
        assert connection.execute(sa.select(usage_events.c.occurred_at)).scalar() == datetime.fromtimestamp(START, UTC)
