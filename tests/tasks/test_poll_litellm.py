"""A proxy's spend log, polled from end to end: whatever happens meanwhile, every request counts once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from ops.errors import Refused
from ops.window import Window
from tasks.http import Courier
from tasks.load_file import load_file
from tasks.load_window import load_window, poll
from tasks.log_file import LogFile
from tasks.settings import Source
from tasks.stores.tables import usage_events, usage_hourly
from tasks.write_usage import Loaded, Target
from tests.api_server import ApiServer, Fault, api_server
from tests.litellm_proxy import KEY, NOON, Proxy, row_of, spend_row
from tests.recount import differences
from tests.stored import stored

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
REAL_DAY = datetime(2026, 11, 23, 8, tzinfo=UTC)
Rows = list[dict[str, Any]]


def rows(count: int) -> Rows:
    """Make requests every 90 seconds of two hours and more, every fifth a cache hit, every seventh a failure."""
    made = []
    for number in range(count):
        hit, failed = number % 5 == 0, number % 7 == 0
        made.append(spend_row(
            f"r{number}_cache_hit{number}.5" if hit else f"r{number}", NOON + number * timedelta(seconds=90),
            cache_hit=str(hit), spend=0.0 if hit else 0.0000135, status="failure" if failed else "success",
        ))  # fmt: skip
    return made


class Gateway:
    """A proxy that is served, and the loads of tenants from it."""

    def __init__(self, proxy: Proxy, server: ApiServer, engine: sa.Engine) -> None:
        self.proxy, self.server, self.engine = proxy, server, engine
        self.now = NOON + 3 * HOUR

    def source(self, **changes: Any) -> Source:
        usual = {"url": self.server.url, "api_key": SecretStr(KEY), "page_size": 7, "requests_per_minute": 100_000}
        return Source(name="proxy", kind="litellm_api", **{**usual, "since": NOON, **changes})

    def poll(self, tenant: str, **changes: Any) -> Loaded:
        return poll(Target(self.engine, tenant), self.source(**changes), self.now, lambda: datetime.now(UTC))


@pytest.fixture
def gateway(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    waits: list[float] = []
    monkeypatch.setattr("tasks.load_window.Courier", partial(Courier, sleep=waits.append))  # no test waits
    proxy = Proxy()
    with api_server(proxy.answer) as server:
        yield Gateway(proxy, server, engine)


def test_poll_loads_every_request_once(gateway: Gateway) -> None:
    gateway.proxy.rows = rows(100)
    assert gateway.poll("calm").inserted == 100
    again = gateway.poll("calm")
    assert (again.inserted, again.corrected, again.duplicates) == (
        0,
        0,
        20,
    )  # from 2 h on, where the look-back begins: 80 * 90 s
    assert differences(gateway.engine) == []


def test_cache_hits_cost_nothing_and_failures_are_counted(gateway: Gateway) -> None:
    gateway.proxy.rows = rows(70)
    gateway.poll("calm")
    with gateway.engine.connect() as connection:
        hour = usage_hourly.c
        sums = sa.select(sa.func.sum(hour.cost_usd), sa.func.sum(hour.cache_hits), sa.func.sum(hour.failures))
        cost, hits, failures = connection.execute(sums).one()
    assert (hits, failures) == (14, 10)
    assert cost == (70 - 14) * (10 * Decimal("0.15e-6") + 20 * Decimal("0.6e-6"))
    assert differences(gateway.engine) == []


@pytest.mark.parametrize("fails_at", range(1, 11))
def test_poll_that_ends_anywhere_is_taken_up_again(gateway: Gateway, fails_at: int) -> None:
    gateway.proxy.rows = rows(60)
    gateway.poll("calm")
    gateway.server.faults = [*[None] * (fails_at - 1), Fault(403)]
    with pytest.raises(Refused):
        gateway.poll("storm")
    gateway.poll("storm")
    assert stored(gateway.engine, "storm") == stored(gateway.engine, "calm")
    assert differences(gateway.engine) == []


def test_rows_that_come_and_change_while_paging_are_found_by_the_next_poll(gateway: Gateway) -> None:
    made = rows(80)
    gateway.proxy.rows = made[::2]
    late = made[1::2]

    def happen(number: int) -> None:
        gateway.proxy.rows += [late.pop(0) for _ in range(min(3, len(late)))]
        gateway.proxy.rows[0] = {**gateway.proxy.rows[0], "completion_tokens": 20 + number}

    gateway.proxy.before = happen
    gateway.poll("storm", look_back_minutes=300)
    gateway.proxy.before = None
    gateway.proxy.rows += late
    second = gateway.poll("storm", look_back_minutes=300)
    gateway.poll("calm")
    assert second.corrected == 1
    assert stored(gateway.engine, "storm") == stored(gateway.engine, "calm")
    assert len(stored(gateway.engine, "calm")["usage_events"]) == 80
    assert differences(gateway.engine) == []


def test_polls_minute_by_minute_leave_what_one_poll_does(gateway: Gateway) -> None:
    """Each request is written up to 50 minutes after its start, so that rows turn up in any order."""
    made = rows(50)
    written_at = {row["request_id"]: NOON + number * timedelta(seconds=90) + (number * 37 % 50) * MINUTE
                  for number, row in enumerate(made)}  # fmt: skip
    for step in range(10, 181, 10):
        gateway.now = NOON + step * MINUTE
        gateway.proxy.rows = [row for row in made if written_at[row["request_id"]] <= gateway.now]
        gateway.poll("storm")
    gateway.poll("calm")
    assert stored(gateway.engine, "storm") == stored(gateway.engine, "calm")
    assert len(stored(gateway.engine, "calm")["usage_events"]) == 50


def test_more_requests_than_the_proxy_counts_are_all_loaded(gateway: Gateway) -> None:
    gateway.proxy.counts_to = 30
    gateway.proxy.rows = rows(100)
    assert gateway.poll("calm").inserted == 100


def test_bad_rows_are_kept_with_their_reason_and_once(gateway: Gateway) -> None:
    gateway.proxy.rows = [{**row, "prompt_tokens": -1} if number == 3 else row for number, row in enumerate(rows(9))]
    gateway.now = NOON + HOUR
    first, second = gateway.poll("calm"), gateway.poll("calm")
    assert (first.inserted, first.rejected, second.inserted) == (8, 1, 0)
    assert first.first_reject == "row 4: input_tokens: -1 is not between 0 and 4294967296"
    assert len(stored(gateway.engine, "calm")["usage_rejects"]) == 1


def test_window_can_be_loaded_again_by_itself(gateway: Gateway) -> None:
    gateway.proxy.rows = rows(40)
    target = Target(gateway.engine, "calm")
    loads = [
        load_window(target, gateway.source(), Window(NOON, NOON + HOUR), lambda: datetime.now(UTC)) for _ in range(2)
    ]
    assert [(load.inserted, load.duplicates) for load in loads] == [(40, 0), (0, 40)]


@pytest.fixture
def payloads(shared_data: Path) -> Path:
    return shared_data / "litellm" / "standard_logging_payload.jsonl"


ORDERS = {
    "file first": ("file", "poll"),
    "poll first": ("poll", "file"),
    "file between polls": ("poll", "file", "poll"),
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_request_that_is_read_from_a_file_and_polled_counts_once(
    gateway: Gateway, payloads: Path, order: tuple[str, ...]
) -> None:
    read = [msgspec.json.decode(line) for line in payloads.read_bytes().splitlines()]
    gateway.proxy.rows = [row_of(payload, clock=number + 0.25) for number, payload in enumerate(read)]
    gateway.now = REAL_DAY
    file = Source(name="log", kind="litellm", path=str(payloads))
    loads = {
        "file": lambda: load_file(Target(gateway.engine, "both"), file, LogFile(str(payloads)), REAL_DAY),
        "poll": lambda: gateway.poll("both", since=REAL_DAY - 2 * HOUR),
    }
    done = [loads[step]() for step in order]
    assert [(load.inserted, load.corrected, load.rejected) for load in done] == [
        (8, 0, 0),
        *[(0, 0, 0)] * (len(order) - 1),
    ]
    assert differences(gateway.engine) == []


def test_what_only_the_payload_tells_is_not_forgotten_by_a_poll(gateway: Gateway, payloads: Path) -> None:
    read = [msgspec.json.decode(line) for line in payloads.read_bytes().splitlines()]
    gateway.proxy.rows, gateway.now = [row_of(payload) for payload in read], REAL_DAY
    target = Target(gateway.engine, "both")
    load_file(target, Source(name="log", kind="litellm", path="log"), LogFile(str(payloads)), REAL_DAY)
    before = stored(gateway.engine, "both")
    gateway.poll("both", since=REAL_DAY - 2 * HOUR)
    assert stored(gateway.engine, "both") == before


def test_exported_rows_cost_what_the_gateway_says(engine: sa.Engine, shared_data: Path) -> None:
    path = str(shared_data / "litellm" / "spend_logs_rows.jsonl")
    source = Source(name="export", kind="litellm_rows", path=path)
    assert load_file(Target(engine, "t"), source, LogFile(path), REAL_DAY).inserted == 3
    event = usage_events.c
    with engine.connect() as connection:
        costs = connection.execute(sa.select(event.cost_usd, event.reported_cost_usd).order_by(event.occurred_at)).all()
    assert [(f"{cost:f}".rstrip("0").rstrip("."), f"{told:f}".rstrip("0").rstrip(".")) for cost, told in costs] == [
        ("0.023085", "0.023085"), ("0", "0"), ("0.005615", "0.005615"),
    ]  # fmt: skip
    assert differences(engine) == []
