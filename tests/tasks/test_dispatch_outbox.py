from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from tasks.channels.console import ConsoleChannel
from tasks.channels.interface import Found, OpenChannel, Outcome, Sent
from tasks.channels.slack import SlackChannel
from tasks.dispatch_outbox import DispatchReport, dispatch_due, dispatch_outbox
from tasks.resources import open_http
from tasks.slack_client import SlackClient
from tasks.stores import outbox
from tasks.stores.tables import outbox as table
from tests.slack_server import (
    ACCEPTED_500,
    ACCEPTED_THEN_DROPPED,
    ACCEPTED_THEN_HANGS,
    RATE_LIMITED,
    SERVER_ERROR,
    Clock,
    Fault,
    SlackServer,
)

ROOT = Path(__file__).parents[2]
KILLS = 50

Dispatch = Callable[[], DispatchReport]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[SlackServer]:
    with SlackServer(clock).running() as server:
        yield server


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with open_http() as client:
        yield client


@pytest.fixture
def printed() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def channels(http: httpx.Client, server: SlackServer, printed: io.StringIO) -> dict[str, OpenChannel]:
    """Two Slack channels and the console; `server.messages` of C1 is what `ops` shows, of C2 what `pager` shows."""
    return {
        "ops": slack(http, server, "C1"),
        "pager": slack(http, server, "C2"),
        "log": ConsoleChannel("log", printed),
    }


@pytest.fixture
def dispatch(engine: sa.Engine, channels: dict[str, OpenChannel], clock: Clock) -> Dispatch:
    return lambda: dispatch_due(engine, "t", channels, clock)


def slack(http: httpx.Client, server: SlackServer, target: str) -> SlackChannel:
    return SlackChannel(SlackClient(http, "xoxb-test", server.base_url), target)


def enqueue(
    engine: sa.Engine, now: datetime, key: str = "spend", destination: str = "ops", revision: int = 1, **changes: Any
) -> None:
    wanted = {"tier": "warning", "payload": {"text": f"{key} r{revision}"}} | changes
    with engine.begin() as connection:
        outbox.enqueue(
            connection, tenant="t", dedup_key=key, destination=destination, revision=revision, now=now, **wanted
        )


def row(engine: sa.Engine, key: str = "spend") -> Any:
    with engine.connect() as connection:
        return connection.execute(sa.select(table).where(table.c.dedup_key == key)).one()


def test_dispatch_sends_once_and_remembers_where(
    engine: sa.Engine, dispatch: Dispatch, server: SlackServer, clock: Clock
) -> None:
    enqueue(engine, clock())
    assert dispatch() == DispatchReport(sent=1, updated=0, failed=0, waiting=0)
    clock.advance(3600)
    assert dispatch() == DispatchReport(0, 0, 0, 0)
    (message,) = server.messages["C1"]
    assert (row(engine).channel_id, row(engine).message_ts, row(engine).sent_rev) == ("C1", message["ts"], 1)


def test_dispatch_leaves_what_the_pace_forbids_for_a_later_call(
    engine: sa.Engine, dispatch: Dispatch, server: SlackServer, clock: Clock
) -> None:
    for key in ("a", "b", "c"):
        enqueue(engine, clock(), key)
    assert dispatch() == DispatchReport(1, 0, 0, waiting=2)
    clock.advance(1.0)
    assert dispatch() == DispatchReport(0, 0, 0, waiting=2)
    clock.advance(0.1)
    assert dispatch() == DispatchReport(1, 0, 0, waiting=1)
    assert server.texts() == ["a r1", "b r1"]


def test_dispatch_prints_everything_to_the_console_at_once(
    engine: sa.Engine, dispatch: Dispatch, printed: io.StringIO, clock: Clock
) -> None:
    for number in range(5):
        enqueue(engine, clock(), f"a{number}", "log")
    assert dispatch() == DispatchReport(5, 0, 0, 0)
    assert printed.getvalue() == "".join(f"a{number} r1\n" for number in range(5))


def test_dispatch_stops_at_its_limit(engine: sa.Engine, channels: dict[str, OpenChannel], clock: Clock) -> None:
    for number in range(5):
        enqueue(engine, clock(), f"a{number}", "log")
    assert dispatch_due(engine, "t", channels, clock, limit=3) == DispatchReport(3, 0, 0, waiting=2)


def test_dispatch_shows_a_later_revision_on_the_same_ts(
    engine: sa.Engine, dispatch: Dispatch, server: SlackServer, clock: Clock
) -> None:
    enqueue(engine, clock())
    dispatch()
    ts = server.messages["C1"][0]["ts"]
    for revision in (2, 3):
        enqueue(engine, clock(), revision=revision)
    clock.advance(2)
    assert dispatch() == DispatchReport(0, updated=1, failed=0, waiting=0)
    assert [(m["ts"], m["text"]) for m in server.messages["C1"]] == [(ts, "spend r3")]
    assert server.count("chat.update") == 1


def test_dispatch_update_that_may_have_arrived_is_made_again(
    engine: sa.Engine, dispatch: Dispatch, server: SlackServer, clock: Clock
) -> None:
    enqueue(engine, clock())
    dispatch()
    enqueue(engine, clock(), revision=2)
    server.fail("chat.update", "C1", ACCEPTED_THEN_DROPPED)
    clock.advance(2)
    assert dispatch() == DispatchReport(0, 0, 0, waiting=1)
    clock.advance(60)
    assert dispatch() == DispatchReport(0, 1, 0, 0)
    assert server.texts() == ["spend r2"]
    assert server.count("conversations.history") == 0


def test_dispatch_posts_anew_when_a_person_deleted_the_message(
    engine: sa.Engine, dispatch: Dispatch, server: SlackServer, clock: Clock
) -> None:
    enqueue(engine, clock())
    dispatch()
    server.messages["C1"].clear()
    enqueue(engine, clock(), revision=2)
    clock.advance(2)
    assert dispatch().waiting == 1
    clock.advance(2)
    assert dispatch() == DispatchReport(1, 0, 0, 0)
    assert server.texts() == ["spend r2"]


def test_dispatch_after_429_leaves_that_channel_alone_and_serves_the_other(
    engine: sa.Engine, dispatch: Dispatch, server: SlackServer, clock: Clock
) -> None:
    server.fail("chat.postMessage", "C1", RATE_LIMITED)
    for key, destination in (("a", "ops"), ("b", "ops"), ("c", "pager"), ("d", "pager")):
        enqueue(engine, clock(), key, destination)
    assert dispatch() == DispatchReport(1, 0, 0, waiting=3)
    for _ in range(29):
        clock.advance(1)
        dispatch()
    assert server.count("chat.postMessage", "C1") == 1
    assert server.texts("C2") == ["c r1", "d r1"]
    assert row(engine, "a").attempts == 0
    clock.advance(1)
    assert dispatch() == DispatchReport(1, 0, 0, waiting=1)
    assert server.texts("C1") == ["a r1"]


def test_dispatch_probes_an_unreachable_slack_every_half_minute(
    engine: sa.Engine, http: httpx.Client, clock: Clock
) -> None:
    server = SlackServer(clock)
    channels = {"ops": slack(http, server, "C1")}
    server.close()
    enqueue(engine, clock())
    for _ in range(61):  # seconds 0 to 60: probes at 0, 30 and 60
        dispatch_due(engine, "t", channels, clock)
        clock.advance(1)
    assert "refused" in row(engine).last_error
    assert row(engine).not_before == Clock().advance(60 + 30)
    assert (row(engine).state, row(engine).attempts) == ("waiting", 0)


@pytest.mark.parametrize(
    ("fault", "posts"),
    [
        pytest.param(ACCEPTED_THEN_DROPPED, 1, id="accepted, then the connection drops"),
        pytest.param(ACCEPTED_500, 1, id="accepted, then internal_error"),
        pytest.param(SERVER_ERROR, 2, id="500 and not accepted"),
        pytest.param(Fault(body=b"<html>"), 2, id="a page that is not Slack's"),
    ],
)
def test_dispatch_looks_before_it_posts_again(
    engine: sa.Engine, dispatch: Dispatch, server: SlackServer, clock: Clock, fault: Fault, posts: int
) -> None:
    server.fail("chat.postMessage", "C1", fault)
    enqueue(engine, clock())
    assert dispatch() == DispatchReport(0, 0, 0, waiting=1)
    clock.advance(59)
    assert dispatch().waiting == 1
    clock.advance(1)
    assert dispatch() == DispatchReport(1, 0, 0, 0)
    assert server.texts() == ["spend r1"]
    assert server.count("chat.postMessage") == posts
    assert row(engine).message_ts == server.messages["C1"][0]["ts"]


def test_dispatch_adopts_the_earlier_revision_before_it_updates(
    engine: sa.Engine, dispatch: Dispatch, server: SlackServer, clock: Clock
) -> None:
    server.fail("chat.postMessage", "C1", ACCEPTED_THEN_DROPPED)
    server.fail("chat.update", "C1", RATE_LIMITED)
    enqueue(engine, clock())
    dispatch()
    enqueue(engine, clock(), revision=2)
    for _ in range(3):  # adopted, then 429, then updated
        clock.advance(60)
        dispatch()
    assert server.texts() == ["spend r2"]
    assert row(engine).state == "sent"


@pytest.mark.parametrize(
    ("fault", "wait"),
    [pytest.param(SERVER_ERROR, 30, id="500"), pytest.param(RATE_LIMITED, 30, id="429 with Retry-After 30")],
)
def test_dispatch_that_cannot_read_the_history_waits_and_never_guesses(
    engine: sa.Engine, dispatch: Dispatch, server: SlackServer, clock: Clock, fault: Fault, wait: int
) -> None:
    server.fail("chat.postMessage", "C1", ACCEPTED_THEN_DROPPED)
    server.fail("conversations.history", "C1", fault)
    enqueue(engine, clock())
    dispatch()
    clock.advance(60)
    assert dispatch().waiting == 1
    assert row(engine).state == "ambiguous"
    clock.advance(wait - 1)
    assert dispatch().waiting == 1
    clock.advance(1)
    assert dispatch() == DispatchReport(1, 0, 0, 0)
    assert server.count("chat.postMessage") == 1


def test_dispatch_that_read_the_history_too_slowly_leaves_the_post_to_the_next(
    engine: sa.Engine, dispatch: Dispatch, server: SlackServer, clock: Clock
) -> None:
    def slow_once(method: str, channel: str) -> Fault | None:
        if method == "conversations.history" and server.count(method) == 1:
            clock.advance(36)  # 60 s of lease - 36 s < the 25 s that sending may take
        return SERVER_ERROR if server.calls == [("chat.postMessage", "C1")] else None

    server.fault_for = slow_once
    enqueue(engine, clock())
    dispatch()
    clock.advance(60)
    assert dispatch().waiting == 1
    assert server.texts() == []
    clock.advance(30)
    assert dispatch().sent == 1


def test_dispatch_sends_a_refused_payload_as_plain_text(
    engine: sa.Engine, dispatch: Dispatch, server: SlackServer, clock: Clock
) -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}]
    enqueue(engine, clock(), payload={"text": "Error rate 12.4 %" + "!" * 4000, "blocks": blocks})
    assert dispatch() == DispatchReport(1, 0, 0, 0)
    (message,) = server.messages["C1"]
    assert message["text"] == "Error rate 12.4 %" + "!" * (4000 - 17)
    assert message["blocks"] == []


def test_dispatch_survives_a_hostile_payload(
    engine: sa.Engine, dispatch: Dispatch, server: SlackServer, clock: Clock
) -> None:
    sample = "&lt;!channel&gt; *x* ``` \x00\u202e\ud800" + "y" * 50_000
    quote = {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": sample}]}
    enqueue(
        engine, clock(), payload={"text": f"Errors: {sample}", "blocks": [{"type": "rich_text", "elements": [quote]}]}
    )
    assert dispatch() == DispatchReport(1, 0, 0, 0)
    (text,) = server.texts()
    assert text.startswith("Errors: &lt;!channel&gt; *x* ``` \ufffd\u202e?yyy")
    assert (len(text), "\x00" in text) == (4000, False)


@pytest.mark.parametrize("error", ["channel_not_found", "not_in_channel", "is_archived", "token_revoked"])
def test_dispatch_tells_another_channel_when_a_destination_is_bad(
    engine: sa.Engine, dispatch: Dispatch, server: SlackServer, clock: Clock, error: str
) -> None:
    server.fail("chat.postMessage", "C1", error)
    enqueue(engine, clock(), tier="critical")
    assert dispatch() == DispatchReport(sent=1, updated=0, failed=1, waiting=0)
    assert (row(engine).state, row(engine).last_error) == ("failed", error)
    assert server.texts("C2") == [f"Not delivered to ops ({error}): spend r1"]
    assert row(engine, "undelivered/ops/spend").tier == "critical"


def test_dispatch_goes_through_every_channel_until_one_takes_the_message(
    engine: sa.Engine, dispatch: Dispatch, server: SlackServer, clock: Clock, printed: io.StringIO
) -> None:
    for channel in ("C1", "C2"):
        server.fail("chat.postMessage", channel, "token_revoked")
    enqueue(engine, clock(), destination="pager")
    assert dispatch() == DispatchReport(sent=1, updated=0, failed=2, waiting=0)
    assert printed.getvalue() == (
        "Not delivered to ops (token_revoked): Not delivered to pager (token_revoked): spend r1\n"
    )


def test_dispatch_without_another_channel_keeps_the_failed_row(
    engine: sa.Engine, http: httpx.Client, server: SlackServer, clock: Clock
) -> None:
    server.fail("chat.postMessage", "C1", "is_archived")
    enqueue(engine, clock())
    assert dispatch_due(engine, "t", {"ops": slack(http, server, "C1")}, clock) == DispatchReport(0, 0, 1, 0)
    assert row(engine).last_error == "is_archived"


def test_dispatch_tells_of_a_destination_that_is_no_longer_configured(
    engine: sa.Engine, dispatch: Dispatch, server: SlackServer, clock: Clock
) -> None:
    enqueue(engine, clock(), destination="gone")
    assert dispatch() == DispatchReport(sent=1, updated=0, failed=1, waiting=0)
    assert server.texts("C1") == ["Not delivered to gone (not a configured channel): spend r1"]


def test_dispatch_tells_another_channel_when_even_plain_text_is_refused(
    engine: sa.Engine, dispatch: Dispatch, server: SlackServer, clock: Clock
) -> None:
    server.fail("chat.postMessage", "C1", "invalid_blocks", "invalid_blocks")
    enqueue(engine, clock())
    assert dispatch() == DispatchReport(sent=1, updated=0, failed=1, waiting=0)
    assert server.texts("C2") == ["Not delivered to ops (invalid_blocks): spend r1"]


def test_dispatch_task_is_the_same_and_never_retries(
    engine: sa.Engine, channels: dict[str, OpenChannel], server: SlackServer, clock: Clock
) -> None:
    enqueue(engine, clock())
    assert dispatch_outbox.fn(engine, "t", channels, clock) == DispatchReport(1, 0, 0, 0)
    assert dispatch_outbox.retries == 0


def test_dispatch_by_two_at_once_sends_each_message_once(
    engine: sa.Engine, dispatch: Dispatch, server: SlackServer, clock: Clock, printed: io.StringIO
) -> None:
    for number in range(40):
        enqueue(engine, clock(), f"a{number}", "log" if number % 2 else "ops")
    with ThreadPoolExecutor(2) as pool:
        for _ in range(20):  # the pace lets one of the 20 Slack messages through per round
            reports = [future.result() for future in [pool.submit(dispatch) for _ in range(2)]]
            clock.advance(1.1)
    assert min(report.waiting for report in reports) == 0
    assert sorted(server.texts()) == sorted(f"a{number} r1" for number in range(0, 40, 2))
    assert sorted(printed.getvalue().split("\n")[:-1]) == sorted(f"a{number} r1" for number in range(1, 40, 2))


@pytest.mark.usefixtures("uncounted_processes")
def test_dispatch_killed_between_post_and_commit_shows_exactly_one_message(
    engine: sa.Engine, dispatch: Dispatch, server: SlackServer, clock: Clock, database_url: str
) -> None:
    command = [sys.executable, "-m", "tests.killable_dispatcher", database_url, server.base_url]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        for number in range(KILLS):
            enqueue(engine, clock(), f"a{number}")
            server.fail("chat.postMessage", "C1", ACCEPTED_THEN_HANGS)
            print(clock().isoformat(), file=parent.stdin, flush=True)
            child = int(parent.stdout.readline())
            server.accepted.get(timeout=20)
            os.kill(child, signal.SIGKILL)
            assert parent.stdout.readline() == "gone\n"
            assert row(engine, f"a{number}").state == "sending"
            clock.advance(60)
            assert dispatch() == DispatchReport(1, 0, 0, 0)
            clock.advance(2)
        parent.stdin.close()
    assert server.texts() == [f"a{number} r1" for number in range(KILLS)]
    assert server.count("chat.postMessage") == KILLS


class Killed(Exception):
    """The dispatcher died after its post."""


class Mortal:
    """A Slack channel whose dispatcher sometimes dies right after a post."""

    def __init__(self, channel: SlackChannel, dice: random.Random) -> None:
        self.channel, self.dice, self.spacing = channel, dice, channel.spacing

    def send(self, payload: Mapping[str, Any], key: str, revision: int, previous: Sent | None) -> Outcome:
        outcome = self.channel.send(payload, key, revision, previous)
        if self.dice.random() < 0.05:
            raise Killed
        return outcome

    def find(self, key: str, since: datetime) -> Found:
        return self.channel.find(key, since)


@pytest.mark.parametrize("seed", [1, 2])
def test_dispatch_by_two_through_random_faults_loses_and_doubles_nothing(
    engine: sa.Engine, http: httpx.Client, clock: Clock, seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311  faults, not secrets
    targets = [f"C{number}" for number in range(5)]
    faults = [RATE_LIMITED] * 5 + [SERVER_ERROR] * 5 + [ACCEPTED_500] * 5 + [ACCEPTED_THEN_DROPPED] * 10
    with SlackServer(clock, tuple(targets)).running() as server:
        server.fault_for = lambda *_: dice.choice(faults + [None] * 75)
        channels = {target: Mortal(slack(http, server, target), dice) for target in targets}
        for number in range(100):
            enqueue(engine, clock(), f"a{number}", targets[number % 5])
        waiting, rounds = 100, 0
        while waiting:
            waiting = min(_round(engine, channels, clock))
            rounds += 1
            if rounds == 10:  # while some are sent, some ambiguous, some waiting
                for number in range(0, 100, 3):
                    enqueue(engine, clock(), f"a{number}", targets[number % 5], revision=2)
                waiting = 100
            clock.advance(5)
            assert rounds < 500
    shown = sorted(text for target in targets for text in server.texts(target))
    assert shown == sorted(f"a{number} r{1 if number % 3 else 2}" for number in range(100))


def _round(engine: sa.Engine, channels: Mapping[str, OpenChannel], clock: Clock) -> list[int]:
    """Let two dispatchers work at the same time; the clock stands still so that no lease ends under a live one."""

    def once(_: int) -> int:
        try:
            return dispatch_due(engine, "t", channels, clock).waiting
        except Killed:
            return 100

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(once, range(2)))
