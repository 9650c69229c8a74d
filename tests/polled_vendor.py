"""A kind that is polled, and the API that it asks: small enough that a test can see each page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from ops.errors import InvalidValue
from ops.usage import Status, UsageEvent
from ops.window import Window
from tasks.settings import Source
from tasks.sources import KINDS
from tasks.sources.interface import ApiKind, Pager, collect
from tests.api_server import ApiServer, Asked, api_server

PAGE = 2


def parse(row: Any) -> tuple[UsageEvent]:
    """Turn `{"id": …, "at": …, "tokens": …}` into an event."""
    if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in ("id", "at")):
        raise InvalidValue("row", row, "an object with id and at")
    made = UsageEvent(
        event_id=row["id"], occurred_at=datetime.fromisoformat(row["at"]), vendor="openai", model="gpt-4o-mini",
        operation="chat", status=Status.SUCCESS, input_tokens=row.get("tokens"),
    )  # fmt: skip
    return (made,)


def pages(source: Source, window: Window) -> Pager:
    """Ask for a window's rows, page by page."""
    page: int | None = 0
    while page is not None:
        bounds = {"from": window.start.isoformat(), "to": window.end.isoformat(), "page": str(page)}
        key = {"authorization": f"Bearer {source.api_key.get_secret_value()}"}
        answer = yield httpx.Request("GET", f"{source.url}/rows", params=bounds, headers=key)
        assert answer is not None
        document = answer.json()
        yield collect(document["rows"], parse, window.end)
        page = document["next"]


KIND = ApiKind(pages, row=lambda _, row: parse(row))


@dataclass
class Vendor:
    """What the API holds: rows, and the windows (their starts) that it refuses with a status."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    refused: dict[datetime, int] = field(default_factory=dict)
    before_answer: Callable[[], object] = lambda: None
    server: ApiServer = field(init=False)

    def source(self, name: str = "vendor", **changes: Any) -> Source:
        """Return settings that ask this API, as fast as it can."""
        usual = {"kind": "vendor", "url": self.server.url, "api_key": "k", "requests_per_minute": 100_000}
        return Source(name=name, **{**usual, **changes})

    def answer(self, asked: Asked) -> tuple[int, Any]:
        """Answer one request."""
        self.before_answer()
        window = Window(*(datetime.fromisoformat(asked.one(name)) for name in ("from", "to")))
        if asked.headers.get("authorization") != "Bearer k" or window.start in self.refused:
            return self.refused.get(window.start, 401), {"error": "no"}
        first = int(asked.one("page")) * PAGE
        held = [row for row in self.rows if datetime.fromisoformat(row["at"]) in window]
        return 200, {"rows": held[first : first + PAGE], "next": first // PAGE + 1 if held[first + PAGE :] else None}

    @property
    def asked(self) -> list[tuple[datetime, datetime]]:
        """The windows that were asked for, each once, in their order."""
        found = [
            (datetime.fromisoformat(one.one("from")), datetime.fromisoformat(one.one("to")))
            for one in self.server.asked
        ]
        return sorted(set(found))


def row(name: str, at: datetime, **fields: Any) -> dict[str, Any]:
    """Make a row of the API."""
    return {"id": name, "at": at.astimezone(UTC).isoformat(), "tokens": 1, **fields}


@contextmanager
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    """Make the kind known, and serve its API."""
    monkeypatch.setitem(KINDS, "vendor", KIND)
    made = Vendor()
    with api_server(made.answer) as made.server:
        yield made
