"""Walk a pager to its end against prepared documents, without a server."""

from __future__ import annotations

from typing import Any

import httpx

from tasks.http import Courier, Turnstile
from tasks.sources.interface import Batch, Pager


def walk(pager: Pager, *documents: Any, then: Any) -> tuple[list[httpx.Request], list[Batch]]:
    """Give one document after the other, then `then` for ever; return what was asked and found."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=[*documents, then][min(len(asked), len(documents) + 1) - 1])

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        return asked, list(Courier(client, Turnstile(1e9), lambda _: None).run(pager))
