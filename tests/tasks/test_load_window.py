"""Every source over HTTP against servers that disturb, and that lie: what is stored in the end is what they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from ops.errors import Refused, Unavailable
from ops.window import Window
from tasks.settings import Source
from tasks.stores import ingest
from tests import helicone_api, langfuse_api, litellm_proxy, vendor_reports
from tests.api_server import ApiServer, Asked, Fault, api_server
from tests.polled import after, carried, cursor_of, held, polled
from tests.recount import differences

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ROWS = 14
Answer = Callable[[Asked], tuple[int, Any]]


def langfuse() -> Answer:
    """Make a project of generations."""
    return langfuse_api.LangfuseApi([langfuse_api.observation(when, id=f"r{at}") for at, when in moments()])


def helicone() -> Answer:
    """Make an organisation; its requests share their times, two by two."""
    pairs = [(at, when - 10 * MINUTE * (at % 2)) for at, when in moments()]
    return helicone_api.HeliconeApi([helicone_api.request(when, request_id=f"r{at}") for at, when in pairs])


def litellm() -> Answer:
    """Make a proxy; five of its requests began in one second."""
    rows = [litellm_proxy.spend_row(f"r{at}", litellm_proxy.NOON - when) for at, when in moments()]
    crowd = [litellm_proxy.spend_row(f"c{at}", litellm_proxy.NOON - 35 * MINUTE) for at in range(5)]
    return litellm_proxy.Proxy([*rows, *crowd]).answer


def moments() -> Iterator[tuple[int, timedelta]]:
    """Yield numbers, and how long before the present each began."""
    return ((at, at * 10 * MINUTE + MINUTE) for at in range(ROWS))


NOW = {"langfuse": langfuse_api.NOW, "helicone": helicone_api.NOW, "litellm_api": litellm_proxy.NOON,
       "openai": vendor_reports.NOW, "anthropic": vendor_reports.NOW}  # fmt: skip
SECRETS = {
    "langfuse": {"public_key": langfuse_api.PUBLIC, "api_key": langfuse_api.SECRET},
    "helicone": {"api_key": helicone_api.KEY},
    "litellm_api": {"api_key": litellm_proxy.KEY},
}
APIS = {"langfuse": langfuse, "helicone": helicone, "litellm_api": litellm}


@contextmanager
def serving(name: str, answer: Answer, **fields: Any) -> Iterator[tuple[ApiServer, Source]]:
    """Serve a kind's API three at a page."""
    usual = {"kind": name, "since": NOW[name] - 3 * HOUR, "page_size": 3, "requests_per_minute": 100_000}
    with api_server(answer) as server:
        yield server, Source(name="s", **{**usual, "url": server.url, **SECRETS.get(name, {"api_key": "k"}), **fields})


def undisturbed(engine: sa.Engine, name: str) -> dict[str, list[dict[str, Any]]]:
    """Return what the tables hold when everything is read once, in peace."""
    with serving(name, APIS[name](), page_size=None) as (_, source):
        polled(engine, source, NOW[name], tenant="calm")
    return held(engine, "calm")


FAULTS: dict[str, list[Fault]] = {
    "is cut in the middle of a page": [Fault(cut=True)] * 2,
    "ends in the middle of the JSON": [Fault(truncated=True)] * 2,
    "is busy, down and damaged": [Fault(429), Fault(503), Fault(content=b"x", headers={"content-encoding": "gzip"})],
}


@pytest.mark.parametrize("answers", [0, 1, 4])
@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("name", APIS)
def test_answer_that_fails_leaves_no_trace(engine: sa.Engine, name: str, faults: list[Fault], answers: int) -> None:
    with serving(name, APIS[name]()) as (server, source):
        after(server, answers, *faults)
        _, slept = carried(engine, source, Window(NOW[name] - 3 * HOUR, NOW[name]))
        assert server.faults == []
    assert slept == [1.0, 2.0, 4.0][: len(faults)]
    assert held(engine) == undisturbed(engine, name)


def doubled(answer: Answer) -> Answer:
    """Tell each row twice."""
    return changing_rows(answer, lambda rows: [row for row in rows for _ in range(2)])


def overlapping(answer: Answer) -> Answer:
    """Begin each page with rows of those before."""
    told: list[Any] = []

    def change(rows: list[Any]) -> list[Any]:
        if not rows:
            told.clear()  # the walk has ended, and the next one has other bounds
            return []
        told.extend(rows)
        return [*told[-len(rows) - 2 : -len(rows)], *rows]

    return changing_rows(answer, change)


def shuffled(answer: Answer) -> Answer:
    """Tell the rows of a page in any order."""
    random = Random(7)  # noqa: S311  no secret
    return changing_rows(answer, lambda rows: random.sample(rows, len(rows)))


def changing_rows(answer: Answer, change: Callable[[list[Any]], list[Any]]) -> Answer:
    """Change the rows of each answer."""

    def changed(asked: Asked) -> tuple[int, Any]:
        status, document = answer(asked)
        return status, {**document, "data": change(document["data"])}

    return changed


DISTURBED = {"doubled": doubled, "overlapping": overlapping, "shuffled": shuffled}


@pytest.mark.parametrize("disturb", DISTURBED.values(), ids=DISTURBED)
@pytest.mark.parametrize("name", APIS)
def test_pages_that_repeat_or_shuffle_rows_count_them_once(
    engine: sa.Engine, name: str, disturb: Callable[[Answer], Answer]
) -> None:
    refuses = (name, disturb) == ("litellm_api", shuffled)  # its order is how it walks
    with serving(name, disturb(APIS[name]())) as (_, source):
        if refuses:
            with pytest.raises(Refused, match="its rows are not sorted by startTime"):
                polled(engine, source, NOW[name])
        else:
            polled(engine, source, NOW[name])
    with serving(name, APIS[name]()) as (_, source):
        assert (polled(engine, source, NOW[name]).inserted > 0) == refuses
    assert held(engine) == undisturbed(engine, name)
    assert differences(engine) == []


@pytest.mark.parametrize("name", APIS)
def test_clock_that_was_ahead_once_loses_no_row(engine: sa.Engine, name: str) -> None:
    with engine.begin() as connection:
        ingest.move_cursor(connection, "default", "s", name, NOW[name] + timedelta(days=3))
    with serving(name, APIS[name](), look_back_minutes=60) as (_, source):
        assert polled(engine, source, NOW[name]).inserted == 6 + 5 * (name == "litellm_api")  # every 10 minutes of 60


def langfuse_page(number: int, rows: int, *, is_new: bool) -> dict[str, Any]:
    """Make a page that leads on."""
    found = [langfuse_api.observation(id=f"r{number if is_new else at}") for at in range(rows)]
    return {"data": found, "meta": {"cursor": f"c{number if is_new else 0}"}}


def helicone_page(number: int, rows: int, *, is_new: bool) -> dict[str, Any]:
    """Make a page, which leads on unless it is empty."""
    return {"data": [helicone_api.request(request_id=f"r{number if is_new else at}") for at in range(rows)]}


def litellm_page(number: int, rows: int, *, is_new: bool) -> dict[str, Any]:
    """Make a page of an hour that has more rows."""
    name = f"r{number}" if is_new else "r"
    row = litellm_proxy.spend_row(name, litellm_proxy.NOON - 90 * MINUTE)
    return {"data": [row] * rows, "total": 9_999, "page_size": 1}


def vendor_page(number: int, rows: int, *, is_new: bool) -> dict[str, Any]:
    """Make a page of either vendor's report, of a day without usage."""
    day = vendor_reports.MIDNIGHT
    openais = {"start_time": int(day.timestamp()), "end_time": int(day.timestamp()) + 86_400}
    anthropics = {"starting_at": day.isoformat(), "ending_at": (day + 24 * HOUR).isoformat()}
    found = [{**openais, **anthropics, "results": []}] * rows
    return {"data": found, "has_more": True, "next_page": f"p{number if is_new else 0}"}


LIARS: dict[str, Callable[..., dict[str, Any]]] = {
    "langfuse": langfuse_page, "helicone": helicone_page, "litellm_api": litellm_page, "openai": vendor_page,
    "anthropic": vendor_page,
}  # fmt: skip
LIES: dict[str, dict[str, Any]] = {
    "the same page": {"rows": 1, "is_new": False},
    "ever new pages": {"rows": 1, "is_new": True},
    "ever new pages of nothing": {"rows": 0, "is_new": True},
}


# an empty page is Helicone's last
TOLD = [(name, lie) for name in LIARS for lie in LIES if (name, lie) != ("helicone", "ever new pages of nothing")]


@pytest.mark.parametrize(("name", "lie"), TOLD)
def test_server_that_leads_on_for_ever_is_given_up(
    engine: sa.Engine, name: str, lie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.http.MOST_REQUESTS", 60)
    numbers, page = count(), LIARS[name]
    with serving(name, lambda _: (200, page(next(numbers), **LIES[lie]))) as (server, source):
        with pytest.raises(Unavailable, match=r"(never end|fewer rows than it counts)") as caught:
            polled(engine, source, NOW[name])
        assert len(server.asked) <= 60
        assert cursor_of(engine, source) is None
    assert caught.value.retryable
