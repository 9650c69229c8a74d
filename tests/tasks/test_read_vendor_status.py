"""Status pages are read from a real server: what they say is remembered, and so is why that is not known."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, replace
from typing import Any

import pytest
import sqlalchemy as sa

from ops.errors import InvalidValue, Refused, Unavailable, WatchkeeperError
from ops.monitoring.vendor_status import PageState, Reading
from tasks.http import Turnstile
from tasks.read_vendor_status import courier_of, judge_vendors, read_vendor_status, summary, watch_vendors
from tasks.resources import open_http
from tasks.settings import Settings, Vendor
from tasks.stores import vendor_statuses
from tasks.stores.tables import vendor_statuses as table
from tests.api_server import ApiServer, Asked, Fault, api_server
from tests.hand_made import MINUTE, NOW, event, failed, load, rows_of
from tests.status_page import component, incident, maintenance, summary_json

ETAG = {"etag": 'W/"abc"', "last-modified": "Thu, 05 Mar 2026 11:50:00 GMT"}


@dataclass
class Page:
    """A vendor's page as the test holds it, and what it takes to read it."""

    engine: sa.Engine
    settings: Settings
    server: ApiServer
    vendor: Vendor
    document: Any

    def read(self, minutes: int = 0, timeout_s: float = 10) -> Reading:
        """Read the page so many minutes after NOW."""
        watch_vendors(self.engine, self.settings)
        with open_http(timeout_s) as http:
            courier = replace(courier_of(http), turnstile=Turnstile(1e9), sleep=lambda _: None)
            return read_vendor_status.fn(self.engine, courier, "default", self.vendor, lambda: NOW + minutes * MINUTE)

    def row(self) -> Any:
        """Return what is remembered."""
        (row,) = rows_of(self.engine, table)
        return row


@pytest.fixture
def page(engine: sa.Engine, settings: Settings) -> Any:
    """A page on which all is well."""

    def answer(asked: Asked) -> tuple[int, Any]:
        return 200, held.document

    with api_server(answer) as server:
        vendor = Vendor(name="openai", status_url=f"{server.url}/api/v2/summary.json", fallback="anthropic/claude-x")
        configured = settings.model_copy(update={"vendors": (vendor,)})
        held = Page(engine, configured, server, vendor, summary_json())
        yield held


def test_page_is_read_and_remembered(page: Page) -> None:
    page.document = summary_json("major", incidents=[incident("Elevated errors")], maintenances=[maintenance("Later")])
    found = page.read()
    assert found.state is PageState.PARTIAL_OUTAGE
    assert found.words() == "partial outage: Elevated errors (major impact, investigating)"
    row = page.row()
    assert (row.vendor, row.fallback, row.read_at, row.tried_at, row.error) == (
        "openai", "anthropic/claude-x", NOW, NOW, None,
    )  # fmt: skip
    assert vendor_statuses.reading(row, NOW) == found
    (asked,) = page.server.asked
    assert (asked.path, asked.headers["accept"]) == ("/api/v2/summary.json", "application/json")


def test_page_that_has_not_changed_is_not_sent_again(page: Page) -> None:
    page.server.faults = [Fault(200, ETAG, content=b'{"status":{"indicator":"minor"},"components":[],"incidents":[]}'),
                          Fault(304, content=b"")]  # fmt: skip
    page.read()
    again = page.read(minutes=5)
    first, second = page.server.asked
    assert "if-none-match" not in first.headers
    assert (second.headers["if-none-match"], second.headers["if-modified-since"]) == tuple(ETAG.values())
    assert (again.state, again.read_at) == (PageState.DEGRADED, NOW + 5 * MINUTE)
    assert page.row().etag == ETAG["etag"]


@pytest.mark.parametrize("mark", ['W/"\u00e9"', "x" * 30_000], ids=["no ASCII", "longer than a server takes"])
def test_page_with_a_mark_that_cannot_be_sent_back_is_read_again(page: Page, mark: str) -> None:
    page.server.faults = [Fault(headers={"etag": mark}), Fault(headers={"etag": mark})]
    states = [page.read().state, page.read(minutes=5).state]
    assert states == [PageState.OPERATIONAL, PageState.OPERATIONAL]
    assert ["if-none-match" in asked.headers for asked in page.server.asked] == [False, False]


def test_page_that_has_changed_replaces_what_was_read(page: Page) -> None:
    page.server.faults = [Fault(200, ETAG, content=b'{"status":{"indicator":"minor"},"components":[],"incidents":[]}')]
    page.read()
    assert page.read(minutes=5).state is PageState.OPERATIONAL
    assert page.row().etag is None


FAILURES: dict[str, tuple[list[Fault], type[WatchkeeperError], str]] = {
    "500": ([Fault(500)] * 2, Unavailable, "500 Internal Server Error .*, 2 times"),
    "too many requests": ([Fault(429, {"retry-after": "60"})], Unavailable, "it asks to wait 60 s"),
    "404": ([Fault(404)], Refused, "404 Not Found"),
    "moved": ([Fault(302, {"location": "https://status.new.test/api?key=1"})], Refused,
              r"302 Found .*: it points to https://status\.new\.test/api$"),
    "a 304 that nobody asked for": ([Fault(304, content=b"")], Refused, "304 Not Modified"),
    "HTML": ([Fault(200, content=b"<html>Sign in</html>")] * 2, Unavailable, "not whole JSON"),
    "half of it": ([Fault(truncated=True), Fault(cut=True)], Unavailable, "2 times"),
    "too large": ([Fault(content=b" " * (2 * 1024 * 1024 + 1))], Refused, "larger than 2,097,152 bytes as sent$"),
    "a bomb": ([Fault(content=gzip.compress(bytes(10_000_000)), headers={"content-encoding": "gzip"})], Refused,
               "larger than 2,097,152 bytes unpacked$"),
    "renamed fields": ([Fault(content=b'{"state": {"indicator": "none"}, "parts": []}')], InvalidValue,
                       r"status page: \['parts', 'state'\] is not a Statuspage summary: .*`status`"),
    "null": ([Fault(content=b"null")], InvalidValue, "'NoneType' is not a Statuspage summary"),
}  # fmt: skip


@pytest.mark.parametrize(("faults", "kind", "words"), FAILURES.values(), ids=FAILURES)
def test_page_that_cannot_be_read_is_unknown_and_says_why(
    page: Page, faults: list[Fault], kind: type[WatchkeeperError], words: str
) -> None:
    page.server.faults = list(faults)
    with pytest.raises(kind, match=words) as caught:
        page.read()
    row = page.row()
    assert (row.error, row.tried_at, row.read_at) == (str(caught.value), NOW, None)
    reading = vendor_statuses.reading(row, NOW)
    assert reading is not None
    assert (reading.state, reading.words()) == (PageState.UNKNOWN, f"unknown: {caught.value}")


def test_slow_page_is_given_up(page: Page) -> None:
    page.server.faults = [Fault(seconds=0.2)] * 2
    with pytest.raises(Unavailable, match="ReadTimeout"):
        page.read(timeout_s=0.05)
    assert "ReadTimeout" in page.row().error


def test_page_that_fails_once_is_asked_again(page: Page) -> None:
    page.server.faults = [Fault(503)]
    assert page.read().state is PageState.OPERATIONAL


def test_page_that_fails_after_it_was_read_is_unknown_until_it_is_read_again(page: Page) -> None:
    page.read()
    page.server.faults = [Fault(404)]
    with pytest.raises(Refused):
        page.read(minutes=5)
    now = vendor_statuses.reading(page.row(), NOW + 5 * MINUTE)
    assert now is not None
    assert now.state is PageState.UNKNOWN
    assert now.words().endswith("; at 2026-03-05 12:00 UTC it said operational")
    assert page.read(minutes=10).state is PageState.OPERATIONAL
    assert (page.row().error, page.row().failing_since) == (None, None)


def test_page_that_cannot_be_read_for_six_hours_is_a_warning_until_it_is_read(page: Page) -> None:
    for minutes in (5, 10, 364, 365):
        page.server.faults = [Fault(404)]
        with pytest.raises(Refused):
            page.read(minutes)
        told = [row["judged"] for row in judge_vendors(page.engine, page.settings, NOW + minutes * MINUTE)]
        assert told == ["warning" if minutes - 5 >= 6 * 60 else "insufficient data"]
    assert page.row().failing_since == NOW + 5 * MINUTE
    page.read(minutes=370)
    (row,) = judge_vendors(page.engine, page.settings, NOW + 370 * MINUTE)
    assert row["judged"] == "ok"


def test_nobody_there_is_unknown(page: Page) -> None:
    page.vendor = page.vendor.model_copy(update={"status_url": "http://127.0.0.1:9/summary.json"})
    page.settings = page.settings.model_copy(update={"vendors": (page.vendor,)})
    with pytest.raises(Unavailable, match="ConnectError"):
        page.read()


def test_wanted_component_that_the_page_does_not_list_is_unknown(page: Page) -> None:
    page.vendor = page.vendor.model_copy(update={"components": ("Chat Completions",)})
    page.settings = page.settings.model_copy(update={"vendors": (page.vendor,)})
    found = page.read()
    assert (found.state, found.words()) == (PageState.UNKNOWN, "unknown: Chat Completions: not on the page")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"components": ("Console",)}, id="for other components"),
        pytest.param({"status_url": "http://127.0.0.1:9/"}, id="of another page"),
        pytest.param({"status_url": None, "components": ()}, id="of no page"),
    ],
)
def test_what_was_read_is_forgotten_when_the_settings_change(page: Page, change: dict[str, Any]) -> None:
    page.document = summary_json(components=[component("API", "major_outage")])
    page.read()
    watch_vendors(page.engine, page.settings)  # unchanged
    assert page.row().page is not None
    changed = page.settings.model_copy(update={"vendors": (page.vendor.model_copy(update=change),)})
    watch_vendors(page.engine, changed)
    row = page.row()
    assert (row.page, row.read_at, row.etag, row.fallback) == (None, None, None, "anthropic/claude-x")


def test_vendor_that_is_configured_no_more_is_forgotten(page: Page) -> None:
    other = page.settings.model_copy(update={"tenant": "other"})
    for settings in (page.settings, other, page.settings.model_copy(update={"vendors": ()})):
        watch_vendors(page.engine, settings)
    assert [row.tenant_id for row in rows_of(page.engine, table)] == ["other"]


def test_judged_vendors_show_our_own_requests_beside_the_page(page: Page) -> None:
    page.document = summary_json("minor", maintenances=[maintenance("Later")])
    page.read()
    load(page.engine, [event(MINUTE) for _ in range(600)] + [failed(30 * MINUTE, error_type="rate_limit")])
    load(page.engine, [failed(MINUTE, vendor="google", model="gemini") for _ in range(60)])
    assert judge_vendors(page.engine, page.settings, NOW) == [
        {
            "vendor": "google", "judged": "critical", "failed in 5 min": "60 of 60", "in 1 h": "60 of 60",
            "in 6 h": "60 of 60", "not counted": None, "status page": "none configured", "maintenance": None,
            "fallback": "none configured",
        },
        {
            "vendor": "openai", "judged": "info", "failed in 5 min": "0 of 600", "in 1 h": "0 of 600",
            "in 6 h": "0 of 600", "not counted": None, "status page": "degraded performance: Minor Service Outage",
            "maintenance": "Later (scheduled, 2026-03-06T02:00:00.000Z to 2026-03-06T04:00:00.000Z)",
            "fallback": "anthropic/claude-x; no requests to anthropic in 1 h",
        },
    ]  # fmt: skip


def test_summary_counts_the_pages_and_names_what_is_wrong(page: Page) -> None:
    fine = page.read()
    page.document = summary_json("critical")
    bad = page.read()
    assert summary({"a": fine, "b": fine}) == "2 of 2 status pages read; all of them operational"
    assert summary({"a": fine, "b": bad, "c": Refused("c", "404")}) == (
        "2 of 3 status pages read; b: major outage: Major Service Outage"
    )
    assert summary({"c": Refused("c", "404")}) == "0 of 1 status pages read"
    assert summary({}) == "no status page is configured"
