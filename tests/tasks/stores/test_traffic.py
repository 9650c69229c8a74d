"""The requests of the last hours, by service and by vendor: what belongs to a vendor's incident counts once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from ops.monitoring.rules.availability import TrafficSample
from ops.monitoring.rules.vendor import Fallback, VendorSample
from ops.monitoring.traffic import Cell
from ops.proportions import Share
from tasks.settings import Alerting, Vendor
from tasks.stores import traffic, vendor_statuses
from tasks.stores.tables import alerts
from tests.hand_made import HOUR, MINUTE, NOW, event, failed, insert, load

NONE = Share(0, 0)


def services(engine: sa.Engine) -> dict[str, TrafficSample]:
    with engine.connect() as connection:
        return {found.key: found for found in traffic.availability(connection, "default", NOW, Alerting())}


def vendors(engine: sa.Engine) -> dict[str, VendorSample]:
    with engine.connect() as connection:
        return {found.vendor: found for found in traffic.vendors(connection, "default", NOW, Alerting())}


def watch(engine: sa.Engine, *configured: Vendor) -> None:
    with engine.begin() as connection:
        vendor_statuses.watch(connection, "default", configured)


def open_alert(engine: sa.Engine, key: str, **fields: Any) -> None:
    usual = {"alert_id": key, "rule": "vendor", "key": key, "tier": "critical", "state": "firing", "since": NOW}
    insert(engine, alerts, [{**usual, "revision": 1, "body": {}, **fields}])


def test_vendor_is_sampled_by_model_service_and_outcome(engine: sa.Engine) -> None:
    load(
        engine,
        [
            event(MINUTE),
            event(30 * MINUTE),
            failed(2 * HOUR, error_type="server", service=None),
            failed(MINUTE, error_type=None, model="gpt-4o"),
            event(MINUTE, cache_hit=True),
        ],
    )
    load(engine, [failed(MINUTE)], tenant="other")
    assert vendors(engine) == {
        "openai": VendorSample(
            vendor="openai",
            cells=[
                Cell("openai", "gpt-4o", "assistant", "other", (1, 1, 1)),
                Cell("openai", "gpt-4o-mini", "assistant", "success", (1, 1 + 1, 2)),
                Cell("openai", "gpt-4o-mini", "unknown service", "server", (0, 0, 1)),
            ],
        )
    }


def test_vendor_of_the_settings_is_sampled_with_its_fallback_though_it_has_no_traffic(engine: sa.Engine) -> None:
    watch(engine, Vendor(name="openai", status_url="http://127.0.0.1:9", fallback="anthropic/claude-x"))
    load(engine, [event(MINUTE, vendor="anthropic"), failed(MINUTE, vendor="anthropic"),
                  failed(MINUTE, vendor="anthropic", error_type="client")])  # fmt: skip
    sample = vendors(engine)["openai"]
    assert (sample.cells, sample.fallback) == ((), Fallback("anthropic/claude-x", Share(1, 2)))
    assert sample.reading is not None
    assert sample.reading.words() == "unknown: not read yet"


def test_vendor_without_a_page_has_no_reading(engine: sa.Engine) -> None:
    watch(engine, Vendor(name="openai"))
    assert vendors(engine) == {"openai": VendorSample(vendor="openai")}


@pytest.mark.parametrize(
    ("fields", "is_paged"),
    [
        pytest.param({}, True, id="a critical one"),
        pytest.param({"state": "pending"}, True, id="one that is pending"),
        pytest.param({"tier": "warning"}, False, id="a warning pages nobody"),
    ],
)
def test_vendor_with_an_open_alert_is_sampled_until_it_is_over(
    engine: sa.Engine, fields: dict[str, Any], is_paged: bool
) -> None:
    open_alert(engine, "vendor:openai", **fields)
    assert vendors(engine) == {"openai": VendorSample(vendor="openai", is_paged=is_paged)}


def test_alerts_that_are_over_or_of_other_rules_count_for_nothing(engine: sa.Engine) -> None:
    open_alert(engine, "vendor:openai", state="resolved")
    open_alert(engine, "vendor:google", rule="reconciliation")
    assert vendors(engine) == {}


def outage(engine: sa.Engine, **fields: Any) -> None:
    load(engine, [failed(MINUTE, **fields) for _ in range(60)])


def test_service_is_judged_without_the_vendor_that_is_out(engine: sa.Engine) -> None:
    outage(engine)
    load(engine, [event(MINUTE, vendor="anthropic") for _ in range(50)] + [failed(MINUTE, vendor="anthropic")])
    share = Share(1, 50 + 1)
    assert services(engine) == {"assistant": TrafficSample("assistant", *[share] * 3, left_out=("openai",))}


def test_service_that_has_that_vendor_alone_is_unknown_for_its_own_part(engine: sa.Engine) -> None:
    outage(engine)
    load(engine, [event(MINUTE, vendor="anthropic", service="search-api")])
    assert services(engine)["assistant"] == TrafficSample("assistant", *[NONE] * 3, left_out=("openai",))
    assert services(engine)["search-api"].left_out == ()


def test_service_is_judged_without_a_vendor_whose_incident_is_not_over(engine: sa.Engine) -> None:
    load(engine, [event(MINUTE)])
    assert services(engine)["assistant"].five_minutes == Share(0, 1)
    open_alert(engine, "vendor:openai")
    assert services(engine)["assistant"].left_out == ("openai",)


def test_service_keeps_the_rate_limits_of_a_vendor_that_is_not_out(engine: sa.Engine) -> None:
    outage(engine, error_type="rate_limit")
    assert services(engine) == {"assistant": TrafficSample("assistant", *[Share(60, 60)] * 3)}


def test_windows_of_a_cell_are_half_open(engine: sa.Engine) -> None:
    moment = timedelta(microseconds=1)
    befores = (timedelta(0), moment, 5 * MINUTE, 5 * MINUTE + moment, HOUR, HOUR + moment, 6 * HOUR, 6 * HOUR + moment)
    load(engine, [event(before) for before in befores])
    (cell,) = vendors(engine)["openai"].cells
    assert cell.counts == (2, 4, 6)
