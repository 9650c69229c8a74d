"""Read the status page of one configured vendor, and remember what it says or why that is not known.

Before it: `flows/read_vendor_status.py` chooses the vendors. Between: `ops/monitoring/vendor_status.py` reads the
document. After it: `ops/monitoring/rules/vendor.py` weighs it against our own errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import httpx
import sqlalchemy as sa
from prefect import task
from prefect.cache_policies import NO_CACHE

from ops.errors import in_words
from ops.monitoring.alerts import Condition
from ops.monitoring.rules import vendor as rule
from ops.monitoring.vendor_status import PageState, Reading, StatusPage, read_page
from tasks.http import NOT_MODIFIED, Courier, Limits, Turnstile
from tasks.settings import Settings, Vendor
from tasks.stores import traffic, vendor_statuses

AT_ONCE = 4  # vendors: each holds one of the engine's eight connections for a moment
TIMEOUT_S = 10.0
_LIMITS = Limits(tries=2, most_bytes=2 * 1024 * 1024, longest_s=20.0, longest_wait_s=10.0, too_large_hint="")
_MOST_OF_A_MARK = 1000  # characters: servers refuse requests with headers of many thousand
_PER_MINUTE = 600.0  # a second try is not held up


def watch_vendors(engine: sa.Engine, settings: Settings) -> None:
    """Keep a row for every vendor of the settings, and for none that they name no more."""
    with engine.begin() as connection:
        vendor_statuses.watch(connection, settings.tenant, settings.vendors)


def courier_of(http: httpx.Client) -> Courier:
    """Return the courier that brings every page."""
    return Courier(http, Turnstile(_PER_MINUTE), limits=_LIMITS)


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="{vendor.name}")
def read_vendor_status(
    engine: sa.Engine, courier: Courier, tenant: str, vendor: Vendor, clock: Callable[[], datetime]
) -> Reading:
    """Ask a vendor's page whether it has changed, and read it if so; what fails is remembered and raised.

    Raises:
        Unavailable, Refused: no whole answer, or one that says no.
        InvalidValue: an answer that is not a Statuspage's summary.
    """
    with engine.connect() as connection:
        row = vendor_statuses.known(connection, tenant)[vendor.name]
    try:
        answer = courier.fetch(_request(row))
        page = None if answer.status_code == NOT_MODIFIED else read_page(answer.json(), vendor.components)
    except Exception as error:
        with engine.begin() as connection:
            vendor_statuses.record_failure(connection, tenant, vendor.name, in_words(error), clock())
        raise
    with engine.begin() as connection:
        _record(connection, tenant, vendor.name, page, answer, clock())
        row = vendor_statuses.known(connection, tenant)[vendor.name]
    found = vendor_statuses.reading(row, clock())
    assert found is not None  # noqa: S101  only a vendor with a page is read
    return found


def _request(row: sa.Row[Any]) -> httpx.Request:
    """Ask for the page, or whether it is still the one that we hold."""
    marks = {"if-none-match": row.etag, "if-modified-since": row.last_modified} if row.page is not None else {}
    headers = {"accept": "application/json", **{name: mark for name, mark in marks.items() if mark}}
    return httpx.Request("GET", row.status_url, headers=headers)


def _record(
    connection: sa.Connection, tenant: str, vendor: str, page: StatusPage | None, answer: httpx.Response, now: datetime
) -> None:
    if page is None:
        vendor_statuses.record_unchanged(connection, tenant, vendor, now)
        return
    marks = {"etag": _mark(answer, "etag"), "last_modified": _mark(answer, "last-modified")}
    vendor_statuses.record_page(connection, tenant, vendor, page, now, **marks)


def _mark(answer: httpx.Response, name: str) -> str | None:
    """Return a mark that a header of ours can carry back; without one the page is asked for whole."""
    mark = answer.headers.get(name, "")
    return mark if mark.isascii() and 0 < len(mark) <= _MOST_OF_A_MARK else None


def judge_vendors(engine: sa.Engine, settings: Settings, now: datetime) -> list[dict[str, Any]]:
    """Return a row for every vendor: our own requests and failures, what its page says, what is made of both."""
    with engine.connect() as connection:
        samples = traffic.vendors(connection, settings.tenant, now, settings.alerting)
    return [_row(sample, rule.evaluate(sample)) for sample in samples]


def _row(sample: rule.VendorSample, condition: Condition) -> dict[str, Any]:
    five_minutes, hour, six_hours = (f"{share.hits:,} of {share.n:,}" for share in sample.shares)
    maintenances = sample.reading.page.maintenances if sample.reading and sample.reading.page else ()
    return {
        "vendor": sample.vendor,
        "judged": (condition.tier or condition.status).value.replace("_", " "),
        "failed in 5 min": five_minutes,
        "in 1 h": hour,
        "in 6 h": six_hours,
        "not counted": condition.evidence.get("not_counted"),
        "status page": condition.evidence["status_page"],
        "maintenance": "; ".join(maintenances) or None,
        "fallback": condition.evidence["fallback"],
    }


def summary(outcomes: Mapping[str, Reading | BaseException]) -> str:
    """Say in one line what the pages say."""
    if not outcomes:
        return "no status page is configured"
    read = {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, Reading)}
    told = [f"{name}: {one.words()}" for name, one in read.items() if one.state is not PageState.OPERATIONAL]
    if read and not told:
        told = ["all of them operational"]
    return "; ".join([f"{len(read):,} of {len(outcomes):,} status pages read", *told])


def failures(outcomes: Mapping[str, Reading | BaseException]) -> list[str]:
    """Say of each page that could not be read why."""
    return [f"{name}: {in_words(one)}" for name, one in outcomes.items() if isinstance(one, BaseException)]
