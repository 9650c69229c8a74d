"""How many posts `watchkeeper receive` takes, beside a bare starlette application that only answers 200.

    python benchmarks/receive.py [--quick] [--json FILE]

First at 500 posts a second, each sent at its time whatever became of those before (a late answer makes the next ones
late too, and is counted); then as fast as 32 connections can. Each post is one payload of LiteLLM, and is answered
when it is committed to a Postgres that waits for its disk. At the end the table holds every acknowledged row or not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tasks.embedded_postgres import Cluster
from tasks.resources import create_database
from tasks.stores.tables import usage_events

ROOT = Path(__file__).parents[1]
RATE = 500
CONNECTIONS = 32
TOKEN = "a-token-of-the-benchmark"  # noqa: S105  no secret


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    if arguments.bare:
        _serve_bare()
        return
    seconds = 3 if arguments.quick else arguments.seconds
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder) / "home").use() as cluster:
        create_database(cluster.url("postgres"), "bench")
        with _running("--bare") as address:
            bare = _measure(address, seconds, "bare")
        with _running("receive", url=cluster.url("bench")) as address:
            ours = _measure(address, seconds, "ours")
        stored = _stored(cluster.url("bench"))
    result = {
        "rate": RATE, "seconds": seconds, "ours": ours, "bare": bare, "acknowledged": ours["acknowledged"],
        "stored": stored, "lost": ours["acknowledged"] - stored,
        "ratio_to_bare": round(ours["fastest"]["posts_per_s"] / bare["fastest"]["posts_per_s"], 3),
    }  # fmt: skip
    _print(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="3 seconds")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _print(result: dict[str, Any]) -> None:
    print(
        f"{'':<10}{'at 500/s':>10}{'P50 ms':>9}{'P99 ms':>9}{'refused':>9}{'fastest/s':>11}{'P50 ms':>9}{'P99 ms':>9}"
    )
    for name in ("ours", "bare"):
        paced, fastest = result[name]["paced"], result[name]["fastest"]
        print(f"{name:<10}{paced['posts_per_s']:>10.0f}{paced['p50_ms']:>9.2f}{paced['p99_ms']:>9.2f}{paced['refused']:>9}"
              f"{fastest['posts_per_s']:>11.0f}{fastest['p50_ms']:>9.2f}{fastest['p99_ms']:>9.2f}")  # fmt: skip
    print(f"{result['acknowledged']:,} acknowledged, {result['stored']:,} stored, {result['lost']} lost; "
          f"as fast as can be {result['ratio_to_bare']:.2f} of bare")  # fmt: skip


@contextmanager
def _running(command: str, url: str = "") -> Iterator[str]:
    """Yield the address of a server in a process of its own."""
    words = [__file__, "--bare"] if command == "--bare" else ["-m", "cli.main", command, "--port", "0"]
    environment = {**os.environ, "DATABASE_URL": url.replace("+psycopg", ""), "WATCHKEEPER_RECEIVER__TOKEN": TOKEN,
                   "PYTHONPATH": str(ROOT)}  # fmt: skip
    process = subprocess.Popen([sys.executable, *words], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None  # noqa: S101  it is a pipe
    try:
        yield process.stdout.readline().split()[2]
    finally:
        process.terminate()
        process.communicate()


def _serve_bare() -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from tasks.serve_http import listen

    async def answer(request: Request) -> Response:
        await request.body()
        return Response(b"{}", media_type="application/json")

    with listen("127.0.0.1", 0) as listener:
        print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        app = Starlette(routes=[Route("/litellm", answer, methods=["POST"])])
        uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])


def _measure(address: str, seconds: int, name: str) -> dict[str, Any]:
    count = RATE * seconds
    _run(address, [_request(f"{name}-warm-{number}") for number in range(200)], rate=None)
    paced = _run(address, [_request(f"{name}-paced-{number}") for number in range(count)], rate=RATE)
    fastest = _run(address, [_request(f"{name}-fast-{number}") for number in range(count)], rate=None)
    acknowledged = 200 + paced["acknowledged"] + fastest["acknowledged"]
    return {"paced": paced, "fastest": fastest, "acknowledged": acknowledged}


def _request(event_id: str) -> bytes:
    now = time.time()
    payload = {
        "id": event_id, "startTime": now - 1, "endTime": now, "completionStartTime": now, "model": "openai/gpt-4o-mini",
        "status": "success", "call_type": "acompletion", "custom_llm_provider": "openai", "prompt_tokens": 900,
        "completion_tokens": 120, "response_cost": 0.000207, "end_user": "cust-7", "request_tags": ["feature:search"],
        "messages": [{"role": "user", "content": "word " * 600}], "response": {"content": "word " * 120},
        "metadata": {"usage_object": {"prompt_tokens": 900, "completion_tokens": 120}, "requester_metadata": {}},
    }  # fmt: skip
    body = json.dumps([payload]).encode()
    head = (f"POST /litellm HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {TOKEN}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n")  # fmt: skip
    return head.encode() + body


@dataclass
class _Seen:
    waits_s: list[float] = field(default_factory=list)
    acknowledged: int = 0
    refused: int = 0


def _run(address: str, requests: list[bytes], rate: int | None) -> dict[str, Any]:
    seen = _Seen()
    taken = asyncio.run(_send_all(address, requests, rate, seen))
    ordered = statistics.quantiles(seen.waits_s, n=100, method="inclusive")
    return {
        "posts_per_s": len(requests) / taken, "p50_ms": ordered[49] * 1000, "p99_ms": ordered[98] * 1000,
        "acknowledged": seen.acknowledged, "refused": seen.refused,
    }  # fmt: skip


async def _send_all(address: str, requests: list[bytes], rate: int | None, seen: _Seen) -> float:
    due: asyncio.Queue[tuple[bytes, float]] = asyncio.Queue()
    started = time.perf_counter()
    senders = [asyncio.create_task(_sender(address, due, seen)) for _ in range(CONNECTIONS)]
    for number, request in enumerate(requests):
        at = started + number / rate if rate else None
        if at is not None and at > time.perf_counter():
            await asyncio.sleep(at - time.perf_counter())
        due.put_nowait((request, at or 0.0))
    await due.join()
    taken = time.perf_counter() - started
    for sender in senders:
        sender.cancel()
    await asyncio.gather(*senders, return_exceptions=True)
    return taken


async def _sender(address: str, due: asyncio.Queue[tuple[bytes, float]], seen: _Seen) -> None:
    host, _, port = address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        while True:
            request, at = await due.get()
            begun = at or time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))
            seen.waits_s.append(time.perf_counter() - begun)
            is_taken = head.split(b" ", 2)[1] == b"200"
            seen.acknowledged += is_taken
            seen.refused += not is_taken
            due.task_done()
    finally:
        writer.close()


def _stored(url: str) -> int:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        count = connection.execute(sa.select(sa.func.count()).select_from(usage_events)).scalar_one()
    engine.dispose()
    return int(count)


if __name__ == "__main__":
    main()
