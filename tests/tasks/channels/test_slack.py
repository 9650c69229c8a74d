from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from slack_sdk import WebClient

from ops.monitoring.slack_message import render_note
from tasks.channels.interface import Ambiguous, BadDestination, BadPayload, Gone, NotDelivered, Sent, Unknown
from tasks.channels.slack import EVENT_TYPE, PAGE, SlackChannel, classify
from tasks.http import Limits
from tasks.request_body import Refusal
from tasks.resources import open_slack
from tasks.settings import Settings, Slack
from tests.slack_server import ACCEPTED_THEN_DROPPED, RATE_LIMITED, SERVER_ERROR, Clock, Fault, SlackServer
from tests.stubborn_server import ENDLESS, Behave, stubborn_server

KEY = "t/ops/spend"
SPEND = {"text": "Spend $41 (limit $20)"}
HALF_MINUTE = timedelta(seconds=30)


@pytest.fixture
def server() -> Iterator[SlackServer]:
    with SlackServer(Clock()).running() as server:
        yield server


@contextmanager
def client_of(base_url: str, key: str = "xoxb-test") -> Iterator[WebClient]:
    slack = Slack(bot_token=SecretStr(key), base_url=base_url)
    with open_slack(Settings.model_construct(slack=slack)) as client:
        assert client
        yield client


@contextmanager
def channel_of(base_url: str, key: str = "xoxb-test") -> Iterator[SlackChannel]:
    with client_of(base_url, key) as client:
        yield SlackChannel(client, "C1")


@pytest.fixture
def channel(server: SlackServer) -> Iterator[SlackChannel]:
    with channel_of(server.base_url) as channel:
        yield channel


def test_slack_posts_with_metadata_and_without_unfurling(channel: SlackChannel, server: SlackServer) -> None:
    sent = channel.send(SPEND, KEY, 1, None)
    (message,) = server.messages["C1"]
    assert sent == Sent("C1", message["ts"], 1)
    assert message["metadata"] == {"event_type": "watchkeeper_alert", "event_payload": {"key": KEY, "rev": 1}}
    assert (message["text"], message["unfurl_links"], message["unfurl_media"]) == (SPEND["text"], False, False)


def test_slack_updates_the_message_in_place(channel: SlackChannel, server: SlackServer) -> None:
    bar = {"color": "#D92D20", "blocks": []}
    first = channel.send({**SPEND, "attachments": [bar]}, KEY, 1, None)
    assert isinstance(first, Sent)
    assert channel.send({"text": "resolved"}, KEY, 2, first) == Sent("C1", first.ts, 2)
    (message,) = server.messages["C1"]
    assert (message["text"], message["attachments"]) == ("resolved", [])
    assert message["metadata"]["event_payload"]["rev"] == 2


def test_slack_takes_what_the_renderer_makes(channel: SlackChannel, server: SlackServer) -> None:
    payload = render_note("Deployed <!channel>", "v41").payload()
    assert isinstance(channel.send(payload, KEY, 1, None), Sent)
    assert "<!" not in json.dumps(server.messages)


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        pytest.param(RATE_LIMITED, NotDelivered("ratelimited", HALF_MINUTE), id="429 waits as long as it asks"),
        pytest.param(Fault(429, headers={"Retry-After": "soon"}), NotDelivered(""), id="429 with no number"),
        pytest.param(Fault(429, body=b"slow down"), NotDelivered, id="429 from a proxy"),
        pytest.param("rate_limited", NotDelivered("rate_limited"), id="too fast, as an answer"),
        pytest.param(SERVER_ERROR, Ambiguous, id="500"),
        pytest.param(Fault(503, "overloaded"), Ambiguous("HTTP 503: overloaded"), id="503 with a code we do not know"),
        pytest.param("internal_error", Ambiguous("HTTP 200: internal_error"), id="an error of Slack's own"),
        pytest.param("fatal_error", Ambiguous("HTTP 200: fatal_error"), id="another error of Slack's own"),
        pytest.param(Fault(body=b"<html>"), Ambiguous, id="200 that is not JSON"),
        pytest.param(Fault(body=b"null"), Ambiguous("HTTP 200: None"), id="200 that is JSON null"),
        pytest.param(Fault(body=b"[1]"), Ambiguous, id="200 that is a JSON list"),
        pytest.param(Fault(body=b"\xff\xfe"), Ambiguous, id="200 that is not UTF-8"),
        pytest.param(Fault(body=b'{"ok": true}'), Ambiguous("ok, but no ts in the answer"), id="200 without a ts"),
        pytest.param(ACCEPTED_THEN_DROPPED, Ambiguous, id="the connection drops"),
        pytest.param("invalid_blocks", BadPayload("invalid_blocks"), id="a payload that Slack refuses"),
        pytest.param("not_in_channel", BadDestination("not_in_channel"), id="a channel without us"),
        pytest.param("token_revoked", BadDestination("token_revoked"), id="a token that is void"),
        pytest.param("some_new_error", BadDestination("some_new_error"), id="an error nobody knows was a refusal"),
    ],
)
def test_slack_failure_is_classified(
    channel: SlackChannel, server: SlackServer, fault: Fault | str, outcome: object
) -> None:
    server.fail("chat.postMessage", "C1", fault)
    found = channel.send(SPEND, KEY, 1, None)
    assert type(found) is outcome if isinstance(outcome, type) else found == outcome


def test_slack_update_of_a_deleted_message_says_that_it_is_gone(channel: SlackChannel) -> None:
    assert channel.send(SPEND, KEY, 2, Sent("C1", "1.000001", 1)) == Gone("message_not_found")


@pytest.mark.parametrize(
    ("payload", "outcome"),
    [
        pytest.param({"text": "x" * 4001}, BadPayload("msg_too_long"), id="text over 4000"),
        pytest.param({"text": ""}, BadPayload("no_text"), id="no text at all"),
        pytest.param({"text": "x", "blocks": [{"text": {}}]}, BadPayload("invalid_blocks"), id="a block without type"),
    ],
)
@pytest.mark.filterwarnings("ignore:The top-level `text`:UserWarning")
def test_slack_refuses_a_payload_beyond_its_limits(
    channel: SlackChannel, payload: dict[str, Any], outcome: BadPayload
) -> None:
    assert channel.send(payload, KEY, 1, None) == outcome


def test_slack_that_refuses_connections_has_received_nothing() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with channel_of(f"http://127.0.0.1:{unused.getsockname()[1]}/api/") as channel:
            outcome = channel.send(SPEND, KEY, 1, None)
    assert isinstance(outcome, NotDelivered)
    assert "refused" in outcome.reason


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        pytest.param(httpx.ConnectError("unknown name"), NotDelivered, id="no such host, a certificate we distrust"),
        pytest.param(httpx.ConnectTimeout("after 10 s"), NotDelivered, id="a timeout before sending"),
        pytest.param(httpx.WriteTimeout("after 10 s"), Ambiguous, id="a timeout while sending"),
        pytest.param(httpx.ReadTimeout("after 10 s"), Ambiguous, id="a timeout while waiting for the answer"),
        pytest.param(httpx.ReadError("reset"), Ambiguous, id="a reset"),
        pytest.param(Refusal(413, "the body is larger"), Ambiguous, id="an answer that is too large"),
    ],
)
def test_slack_connection_that_fails_is_classified(error: Exception, kind: type) -> None:
    assert type(classify(error)) is kind


@pytest.mark.parametrize("behave", ENDLESS.values(), ids=ENDLESS)
def test_slack_that_never_ends_its_answer_is_given_up(behave: Behave, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.slack_client._LIMITS", Limits(longest_s=0.2))
    with stubborn_server(behave) as url, channel_of(f"{url}/api/") as channel:
        assert channel.send(SPEND, KEY, 1, None) == Ambiguous("ReadTimeout: no whole answer within 0.2 s")


def test_slack_token_that_http_cannot_carry_is_not_told(server: SlackServer) -> None:
    with channel_of(server.base_url, key="xoxb\n1") as channel:
        outcome = channel.send(SPEND, KEY, 1, None)
    assert outcome == BadDestination("127.0.0.1 refused: HTTP cannot carry a header of ours: a line break in a key?")


def test_slack_history_whose_pages_never_end_is_given_up(
    channel: SlackChannel, server: SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.channels.slack.MOST_PAGES", 2)
    more = {"ok": True, "messages": [], "response_metadata": {"next_cursor": "again"}}
    server.fail("conversations.history", "C1", *[Fault(body=json.dumps(more).encode())] * 9)
    assert channel.find(KEY, Clock().time) == Unknown("conversations.history: more than 2 pages")
    assert server.count("conversations.history") == 3


@pytest.mark.parametrize(
    "history",
    [
        pytest.param({"messages": None}, id="no list"),
        pytest.param({"messages": [1]}, id="no messages"),
        pytest.param({"messages": [], "response_metadata": None}, id="no metadata"),
        pytest.param(
            {"messages": [{"metadata": {"event_type": EVENT_TYPE, "event_payload": {"key": KEY}}}]}, id="no revision"
        ),
    ],
)
def test_slack_history_of_another_shape_is_never_taken_for_empty(
    channel: SlackChannel, server: SlackServer, history: dict[str, Any]
) -> None:
    server.fail("conversations.history", "C1", Fault(body=json.dumps({"ok": True, **history}).encode()))
    assert isinstance(channel.find(KEY, Clock().time), Unknown)


def test_slack_finds_its_message_on_any_page(channel: SlackChannel, server: SlackServer) -> None:
    sent = channel.send(SPEND, KEY, 3, None)
    noise = {"ts": "1762160401.5", "text": "hello", "channel": "C1"}
    server.messages["C1"] += [noise, {**noise, "metadata": {"event_type": "other", "event_payload": {"key": KEY}}}]
    server.messages["C1"] += [noise] * PAGE
    assert channel.find(KEY, Clock().time) == sent
    assert server.count("conversations.history") == 2


def test_slack_finds_nothing_of_another_key(channel: SlackChannel) -> None:
    channel.send(SPEND, "t/ops/other", 1, None)
    assert channel.find(KEY, Clock().time) is None


@pytest.mark.parametrize(
    ("seconds", "found"),
    [
        pytest.param(59, True, id="a clock 59 s ahead of Slack's does not hide the message"),
        pytest.param(61, False, id="older messages are not looked at"),
    ],
)
def test_slack_looks_a_minute_further_back(channel: SlackChannel, seconds: int, found: bool) -> None:
    channel.send(SPEND, KEY, 1, None)
    assert (channel.find(KEY, Clock().advance(seconds)) is not None) is found


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        pytest.param(RATE_LIMITED, Unknown("conversations.history: ratelimited", HALF_MINUTE), id="429"),
        pytest.param(SERVER_ERROR, Unknown, id="500"),
        pytest.param(ACCEPTED_THEN_DROPPED, Unknown, id="the connection drops"),
        pytest.param(
            "missing_scope", BadDestination("conversations.history: missing_scope"), id="a token that may not read"
        ),
    ],
)
def test_slack_history_that_cannot_be_read_is_never_taken_for_empty(
    channel: SlackChannel, server: SlackServer, fault: Fault | str, answer: object
) -> None:
    server.fail("conversations.history", "C1", fault)
    found = channel.find(KEY, Clock().time)
    assert type(found) is answer if isinstance(answer, type) else found == answer


def test_slack_server_shows_a_thread_apart_from_the_channel(server: SlackServer) -> None:
    with client_of(server.base_url) as client:
        top = client.chat_postMessage(channel="C1", text="fired")
        client.chat_postMessage(channel="C1", text="plot", thread_ts=top["ts"])
        replies = client.conversations_replies(channel="C1", ts=str(top["ts"]))
        history = client.conversations_history(channel="C1")
        assert [m["text"] for m in history["messages"] or ()] == ["fired"]
        assert [m["text"] for m in replies["messages"] or ()] == ["plot", "fired"]
