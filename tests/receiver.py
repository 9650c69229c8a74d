"""A receiver to post to: the real application on a real server, on a free port of loopback."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import sqlalchemy as sa
from pydantic import SecretStr

from tasks.receive_usage import LONGEST_WAIT_S, make_app
from tasks.serve_http import listen, make_server
from tasks.settings import Receiver
from tasks.write_usage import Target

TOKEN = "a-token-of-the-tests"  # noqa: S105  no secret
NOW = datetime(2026, 3, 3, tzinfo=UTC)
START = 1_772_452_800.25  # 2026-03-02 12:00:00.25 UTC


@contextmanager
def receiving(
    engine: sa.Engine, *, open_to_all: bool = False, now: datetime = NOW, **settings: Any
) -> Iterator[httpx.Client]:
    """Yield a client of a running receiver; it shows the token with every request."""
    given = Receiver(port=0, token=SecretStr(TOKEN), **settings)
    app = make_app(Target(engine, "default"), given, None if open_to_all else TOKEN.encode(), lambda: now)
    with listen(given.host, given.port) as listener:
        server = make_server(app, LONGEST_WAIT_S)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            headers = {} if open_to_all else {"authorization": f"Bearer {TOKEN}"}
            with httpx.Client(base_url=address, headers=headers, timeout=60, trust_env=False) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


def payload(event_id: str, **fields: Any) -> dict[str, Any]:
    """Return LiteLLM's payload of a chat."""
    usual = {"startTime": START, "endTime": START + 1, "model": "openai/gpt-4o", "status": "success",
             "call_type": "acompletion", "prompt_tokens": 10, "completion_tokens": 1}  # fmt: skip
    return {"id": event_id, **usual, **fields}


def post(client: httpx.Client, body: bytes, path: str = "/litellm", **headers: str) -> httpx.Response:
    """Post bytes as they are."""
    media = {"content-type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
    return client.post(path, content=body, headers=media)


def post_ids(client: httpx.Client, *event_ids: str, **headers: str) -> httpx.Response:
    """Post a payload of each id."""
    return post(client, msgspec.json.encode([payload(event_id) for event_id in event_ids]), **headers)


def bomb(size: int) -> bytes:
    """Return a gzip file of so many zeros."""
    return gzip.compress(bytes(size))
