from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from tasks.stores import outbox
from tasks.stores.outbox import Claimed
from tasks.stores.tables import outbox as table
from tasks.stores.tables import outbox_destinations

NOW = datetime(2025, 11, 3, 9, tzinfo=UTC)
LEASE = timedelta(seconds=60)
PACE = timedelta(seconds=1.1)
SMILE, HALF_OF_IT = "\N{GRINNING FACE}", "\ud83d"


def enqueue(engine: sa.Engine, key: str = "spend", **changes: Any) -> None:
    wanted = {"tenant": "t", "destination": "ops", "tier": "warning", "revision": 1, "now": NOW}
    wanted |= {"payload": {"text": f"{key} {changes.get('revision', 1)}"}}
    with engine.begin() as connection:
        outbox.enqueue(connection, **{**wanted, "dedup_key": key, **changes})


def claim(engine: sa.Engine, after: float = 0, *, pace: timedelta = timedelta(0), tenant: str = "t") -> Claimed | None:
    with engine.begin() as connection:
        spacing = {"ops": pace, "pager": pace}
        now = NOW + timedelta(seconds=after)
        return outbox.claim(connection, tenant=tenant, now=now, lease=LEASE, spacing=spacing)


def claimed(engine: sa.Engine, after: float = 0) -> Claimed:
    found = claim(engine, after)
    assert found is not None
    return found


def row(engine: sa.Engine, key: str = "spend") -> Any:
    with engine.connect() as connection:
        return connection.execute(sa.select(table).where(table.c.dedup_key == key)).one()


def pending(engine: sa.Engine, now: datetime = NOW) -> int:
    with engine.connect() as connection:
        return outbox.pending(connection, "t", now)


def test_outbox_claims_what_was_enqueued(engine: sa.Engine) -> None:
    enqueue(engine)
    found = claimed(engine)
    assert (found.key, found.payload, found.revision) == ("t/ops/spend", {"text": "spend 1"}, 1)
    assert (found.attempts, found.ambiguous, found.message_ts) == (1, False, None)
    assert row(engine).state == "sending"
    assert row(engine).lease_until == NOW + LEASE
    assert row(engine).first_sent_at == NOW


def test_outbox_message_goes_with_the_transaction_that_decided_it(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        outbox.enqueue(
            connection, tenant="t", dedup_key="spend", destination="ops", tier="info", payload={}, revision=1, now=NOW
        )
        connection.rollback()
    assert claim(engine) is None


@pytest.mark.parametrize(
    ("revision", "shown", "desired"),
    [
        pytest.param(3, "changed", 3, id="a later revision replaces the payload"),
        pytest.param(2, "spend 2", 2, id="an equal revision changes nothing"),
        pytest.param(1, "spend 2", 2, id="a lower revision changes nothing"),
    ],
)
def test_outbox_enqueue_keeps_the_latest_revision(engine: sa.Engine, revision: int, shown: str, desired: int) -> None:
    enqueue(engine, revision=2)
    enqueue(engine, revision=revision, payload={"text": "changed"})
    assert (row(engine).payload["text"], row(engine).desired_rev) == (shown, desired)


def test_outbox_enqueue_stores_texts_that_jsonb_refuses(engine: sa.Engine) -> None:
    enqueue(engine, payload={"text": f"a\x00b{HALF_OF_IT}{SMILE}", "blocks": [{"n": 1, "text": "\x00"}]})
    assert claimed(engine).payload == {"text": f"a\ufffdb?{SMILE}", "blocks": [{"n": 1, "text": "\ufffd"}]}


def test_outbox_claims_critical_first_then_the_oldest(engine: sa.Engine) -> None:
    enqueue(engine, "info", tier="info", now=NOW - timedelta(hours=2))
    enqueue(engine, "young", tier="warning")
    enqueue(engine, "old", tier="warning", now=NOW - timedelta(hours=1))
    enqueue(engine, "page", tier="critical")
    assert [claimed(engine).dedup_key for _ in range(4)] == ["page", "old", "young", "info"]
    assert claim(engine) is None


def test_outbox_claims_only_its_own_tenant(engine: sa.Engine) -> None:
    enqueue(engine)
    assert claim(engine, tenant="other") is None


@pytest.mark.parametrize(
    ("after", "free"),
    [
        pytest.param(1.0, False, id="within the pace of 1.1 s the destination is left alone"),
        pytest.param(1.1, True, id="after it the next message goes"),
    ],
)
def test_outbox_destination_keeps_its_pace(engine: sa.Engine, after: float, free: bool) -> None:
    enqueue(engine, "a")
    enqueue(engine, "b")
    assert claim(engine, pace=PACE) is not None
    assert (claim(engine, after, pace=PACE) is not None) is free


def test_outbox_pace_of_one_destination_does_not_hold_another(engine: sa.Engine) -> None:
    enqueue(engine, "a")
    enqueue(engine, "b", destination="pager")
    assert {claim(engine, pace=PACE).destination for _ in range(2)} == {"ops", "pager"}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("after", "taken"),
    [
        pytest.param(59, False, id="while its lease runs a row belongs to its dispatcher"),
        pytest.param(60, True, id="after it anyone may take the row, as ambiguous"),
    ],
)
def test_outbox_row_of_a_dead_dispatcher_is_taken_over(engine: sa.Engine, after: float, taken: bool) -> None:
    enqueue(engine)
    claimed(engine)
    found = claim(engine, after)
    assert (found is not None) is taken
    if found:
        assert (found.ambiguous, found.attempts, found.first_sent_at) == (True, 2, NOW)


def test_outbox_skips_what_another_transaction_is_claiming(engine: sa.Engine) -> None:
    enqueue(engine, "a")
    enqueue(engine, "b")
    enqueue(engine, "c", destination="pager")
    with engine.begin() as other:
        first = outbox.claim(other, tenant="t", now=NOW, lease=LEASE, spacing={})
        second = claim(engine)
    assert first is not None
    assert second is not None
    assert (first.dedup_key, second.dedup_key) == ("a", "c")


def test_outbox_gives_each_row_to_one_of_two_dispatchers(engine: sa.Engine) -> None:
    for number in range(200):
        enqueue(engine, f"a{number}")
    with ThreadPoolExecutor(2) as pool:
        claims = list(pool.map(lambda _: claim(engine), range(300)))
    keys = [found.dedup_key for found in claims if found]
    assert len(set(keys)) == len(keys) > 50  # a call that meets the other one comes back with nothing


def test_outbox_sent_message_is_done_until_a_later_revision(engine: sa.Engine) -> None:
    enqueue(engine)
    with engine.begin() as connection:
        outbox.mark_sent(connection, claimed_in(connection), channel_id="C1", ts="1.5", revision=1)
    assert (row(engine).state, row(engine).sent_rev, pending(engine)) == ("sent", 1, 0)
    assert claim(engine) is None
    enqueue(engine, revision=2)
    again = claimed(engine)
    assert (again.revision, again.channel_id, again.message_ts, again.sent_rev) == (2, "C1", "1.5", 1)
    assert not again.ambiguous


def test_outbox_revision_wanted_while_sending_goes_next(engine: sa.Engine) -> None:
    enqueue(engine)
    first = claimed(engine)
    enqueue(engine, revision=2)
    assert row(engine).state == "sending"
    with engine.begin() as connection:
        outbox.mark_sent(connection, first, channel_id="C1", ts="1.5", revision=1)
    assert (row(engine).state, row(engine).sent_rev) == ("waiting", 1)
    assert claimed(engine).revision == 2


@pytest.mark.parametrize(
    ("count", "attempts"),
    [
        pytest.param(True, 1, id="a counted attempt stays counted"),
        pytest.param(False, 0, id="what never left is not counted"),
    ],
)
def test_outbox_waiting_row_is_left_until_its_time(engine: sa.Engine, count: bool, attempts: int) -> None:
    enqueue(engine)
    with engine.begin() as connection:
        found = claimed_in(connection)
        later = NOW + timedelta(seconds=30)
        outbox.mark_waiting(connection, found, not_before=later, error="ratelimited", count=count)
    assert (row(engine).attempts, row(engine).last_error, pending(engine)) == (attempts, "ratelimited", 1)
    assert claim(engine, 29) is None
    assert claimed(engine, 30).ambiguous is False


def test_outbox_ambiguous_row_is_left_until_its_time_and_stays_ambiguous(engine: sa.Engine) -> None:
    enqueue(engine)
    with engine.begin() as connection:
        found = claimed_in(connection)
        outbox.mark_ambiguous(connection, found, until=NOW + timedelta(seconds=90), error="reset")
    enqueue(engine, revision=2)
    assert row(engine).state == "ambiguous"
    assert claim(engine, 89) is None
    assert claimed(engine, 90).ambiguous is True


def test_outbox_failed_message_is_tried_again_with_a_later_revision(engine: sa.Engine) -> None:
    enqueue(engine)
    with engine.begin() as connection:
        outbox.mark_failed(connection, claimed_in(connection), error="is_archived")
    assert (row(engine).state, row(engine).last_error, pending(engine)) == ("failed", "is_archived", 0)
    assert claim(engine, 3600) is None
    enqueue(engine, revision=2)
    assert claimed(engine).revision == 2


def test_outbox_mark_of_a_dispatcher_that_lost_its_lease_does_nothing(engine: sa.Engine) -> None:
    enqueue(engine)
    slow = claimed(engine)
    quick = claimed(engine, 60)
    with engine.begin() as connection:
        outbox.mark_failed(connection, slow, error="too late")
    assert (row(engine).state, row(engine).last_error) == ("sending", None)
    with engine.begin() as connection:
        outbox.mark_sent(connection, quick, channel_id="C1", ts="1.5", revision=1)
        outbox.mark_waiting(connection, slow, not_before=NOW, error="too late", count=True)
    assert row(engine).state == "sent"


def test_outbox_hold_of_a_destination_is_never_shortened(engine: sa.Engine) -> None:
    enqueue(engine)
    found = claimed(engine)
    with engine.begin() as connection:
        for seconds in (30, 10):
            outbox.hold_destination(connection, found, until=NOW + timedelta(seconds=seconds))
        held = connection.execute(sa.select(outbox_destinations.c.not_before)).scalar_one()
    assert held == NOW + timedelta(seconds=30)


def test_outbox_pending_leaves_out_what_comes_later(engine: sa.Engine) -> None:
    enqueue(engine)
    enqueue(engine, "tomorrow", now=NOW + timedelta(days=1))
    assert (pending(engine), pending(engine, NOW + timedelta(days=1))) == (1, 2)


def claimed_in(connection: sa.Connection) -> Claimed:
    found = outbox.claim(connection, tenant="t", now=NOW, lease=LEASE, spacing={})
    assert found is not None
    return found
