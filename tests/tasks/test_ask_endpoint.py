from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from ops.monitoring.evaluation_calls import Outcome
from ops.monitoring.retrieval import MRR, score_ranking
from tasks.ask_endpoint import Line, Reply, Usage
from tasks.resources import open_http
from tasks.settings import Endpoint
from tests.api_server import ApiServer, Fault, api_server
from tests.model_api import ModelApi
from tests.stubborn_server import Behave, closes, drips, reads_nothing, stubborn_server

QUESTION = [{"role": "user", "content": "How long?"}]
FAST = 100_000


@pytest.fixture
def server() -> Iterator[ApiServer]:
    documents = {"How long?": ["d1", {"id": "d2", "score": 0.5}, {"id": 3}]}
    vectors = {"a": [1.0, 0.0], "b": [0.0, 1.0]}
    with api_server(ModelApi(answers={"How long?": "35 days"}, documents=documents, vectors=vectors)) as running:
        yield running


def line(url: str, client: Any, **fields: Any) -> Line:
    usual = {"url": url, "api_key": SecretStr("secret"), "model": "m-1", "requests_per_minute": FAST}
    return Line(client, Endpoint(**{**usual, **fields}))


@pytest.fixture
def ask(server: ApiServer) -> Iterator[Line]:
    with open_http() as client:
        yield line(f"{server.url}/v1/", client, parameters={"temperature": 0})


def test_chat_is_asked_in_openais_form(server: ApiServer, ask: Line) -> None:
    reply = ask.chat(QUESTION)
    assert (reply.outcome, reply.text, reply.usage) == (Outcome.OK, "35 days", Usage(100, 10))
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert asked.headers["authorization"] == "Bearer secret"
    assert asked.json() == {"temperature": 0, "model": "m-1", "messages": QUESTION}


def test_vectors_are_put_into_the_order_of_their_texts(ask: Line) -> None:
    assert ask.embed(["a", "b"]).vectors == ((1.0, 0.0), (0.0, 1.0))


def test_document_whose_name_has_a_nul_is_not_another_one(server: ApiServer, ask: Line) -> None:
    server.faults.append(Fault(content=json.dumps({"documents": ["d1\0x", "d1\0y", "d1"]}).encode()))
    documents = ask.retrieve("How long?", 5).documents or ()
    assert documents == ("d1\ufffdx", "d1\ufffdy", "d1")
    assert score_ranking({"d1": 1}, documents, 5)[MRR] == 1 / 3


def test_header_that_is_not_ascii_is_none_of_our_business(server: ApiServer, ask: Line) -> None:
    server.faults.append(Fault(headers={"x-served-by": "Jos\u00e9"}))
    assert ask.chat(QUESTION).text == "35 days"


def test_documents_are_names_in_their_order(server: ApiServer) -> None:
    with open_http() as client:
        reply = line(f"{server.url}/find", client, api_key=SecretStr("")).retrieve("How long?", 5)
    assert reply.documents == ("d1", "d2", "3")
    assert server.asked[0].json() == {"query": "How long?", "k": 5}
    assert "authorization" not in server.asked[0].headers


ANSWER = {"choices": [{"message": {"content": "35 days"}}]}
FAULTS: dict[str, tuple[Fault, Outcome]] = {
    "too many requests": (Fault(status=429), Outcome.RATE_LIMITED),
    "a server's error": (Fault(status=500), Outcome.SERVER_ERROR),
    "a gateway's timeout": (Fault(status=504), Outcome.SERVER_ERROR),
    "wrong credentials": (Fault(status=401), Outcome.REFUSED),
    "a redirect": (Fault(status=302, headers={"location": "http://elsewhere/"}), Outcome.REFUSED),
    "no answer in time": (Fault(seconds=2), Outcome.TIMEOUT),
    "an answer that never ends": (Fault(endless=True, content=json.dumps(ANSWER).encode()), Outcome.TIMEOUT),
    "half an answer": (Fault(cut=True), Outcome.BROKEN),
    "half a JSON document": (Fault(truncated=True), Outcome.GARBAGE),
    "HTML": (Fault(content=b"<html>Bad gateway</html>"), Outcome.GARBAGE),
    "no choices": (Fault(content=b'{"choices": []}'), Outcome.GARBAGE),
    "an empty text": (Fault(content=b'{"choices": [{"message": {"content": ""}}]}'), Outcome.EMPTY),
    "a blank text": (Fault(content=b'{"choices": [{"message": {"content": " \\n"}}]}'), Outcome.EMPTY),
    "no text": (Fault(content=b'{"choices": [{"message": {"content": null}}]}'), Outcome.GARBAGE),
    "bytes of another encoding": (Fault(content=b'{"choices": [{"message": {"content": "\xff"}}]}'), Outcome.GARBAGE),
    "brackets without end": (Fault(content=b"[" * 100_000), Outcome.GARBAGE),
    "a damaged packing": (Fault(headers={"content-encoding": "gzip"}, content=b"not packed"), Outcome.GARBAGE),
}


@pytest.mark.parametrize(("fault", "outcome"), FAULTS.values(), ids=FAULTS)
def test_failure_is_known_by_its_kind_and_not_tried_again(server: ApiServer, fault: Fault, outcome: Outcome) -> None:
    server.faults.append(fault)
    with open_http() as client:
        patience = 0.5 if outcome is Outcome.TIMEOUT else 30
        reply = line(f"{server.url}/v1", client, timeout_s=patience).chat(QUESTION)
    assert (reply.outcome, reply.text, len(server.asked)) == (outcome, "", 1)
    assert reply.detail


def test_service_that_is_not_there_was_never_asked() -> None:
    with open_http() as client:
        assert line("http://127.0.0.1:9/v1", client).chat(QUESTION).outcome is Outcome.UNREACHABLE


NO_TUNNEL: dict[str, Behave] = {
    "wants a password": drips(b"HTTP/1.1 407 Who?\r\ncontent-length: 0\r\n\r\n"),
    "closes": closes(),
    "is silent": reads_nothing,
}


@pytest.mark.parametrize("behave", NO_TUNNEL.values(), ids=NO_TUNNEL)
def test_service_behind_a_proxy_without_a_tunnel_was_never_asked(
    behave: Behave, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stubborn_server(behave) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with open_http() as client:
            reply = line("https://vendor.test/v1", client, timeout_s=0.5).chat(QUESTION)
    assert reply.outcome is Outcome.UNREACHABLE


def test_service_behind_a_proxy_that_cannot_be_was_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:99999")
    with open_http() as client:
        assert line("https://vendor.test/v1", client).chat(QUESTION).outcome is Outcome.UNREACHABLE


def test_key_that_http_cannot_carry_is_not_told(server: ApiServer) -> None:
    with open_http() as client:
        reply = line(f"{server.url}/v1", client, api_key=SecretStr("sec\nret")).chat(QUESTION)
    told = "127.0.0.1 refused: HTTP cannot carry a header of ours: a line break in a key?"
    assert (reply.outcome, reply.detail) == (Outcome.UNREACHABLE, told)


def test_answer_that_quotes_the_key_is_told_without_it(server: ApiServer, ask: Line) -> None:
    server.faults.append(Fault(status=401, content=b"no such key: secret\x00"))
    assert ask.chat(QUESTION).detail == "401 no such key: …�"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b'{"data": [{"index": 0, "embedding": [1, 0]}]}', "'1 vectors' is not one for each of 2 texts"),
     (b'{"data": [{"index": 0, "embedding": ["x"]}]}', "Expected `float`, got `str`")],
    ids=["a vector too few", "a word for a number"],
)  # fmt: skip
def test_vectors_of_another_form_are_garbage(server: ApiServer, ask: Line, content: bytes, reason: str) -> None:
    server.faults.append(Fault(content=content))
    reply = ask.embed(["a", "b"])
    assert reply.outcome is Outcome.GARBAGE
    assert reason in str(reply.detail)


def test_more_documents_than_anybody_ranks_are_garbage(server: ApiServer, ask: Line) -> None:
    server.faults.append(Fault(content=json.dumps({"documents": ["d"] * 1001}).encode()))
    reply = ask.retrieve("How long?", 5)
    assert (reply.outcome, reply.detail) == (Outcome.GARBAGE, "documents: '1,001' is not at most 1,000")


def test_text_that_postgres_cannot_hold_is_mended(server: ApiServer, ask: Line) -> None:
    server.faults.append(Fault(content=b'{"choices": [{"message": {"content": "35\\u0000days"}}]}'))
    assert ask.chat(QUESTION) == Reply(Outcome.OK, text="35�days")


IMPOSSIBLE = {
    "a word": '"much"',
    "less than nothing": '{"prompt_tokens": -1, "completion_tokens": 5}',
    "more than any model takes": '{"prompt_tokens": 2147483648, "completion_tokens": 5}',
    "an answer without end": '{"prompt_tokens": 7, "completion_tokens": 10000001}',
    "half a token": '{"prompt_tokens": 1.5, "completion_tokens": 5}',
    "a number in words": '{"prompt_tokens": "7", "completion_tokens": "5"}',
    "nothing was asked": '{"prompt_tokens": 0, "completion_tokens": 5}',
    "a text out of nothing": '{"prompt_tokens": 7, "completion_tokens": 0}',
}


@pytest.mark.parametrize("usage", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_usage_that_cannot_be_is_not_believed_and_is_told(server: ApiServer, ask: Line, usage: str) -> None:
    server.faults.append(Fault(content=json.dumps(ANSWER).encode()[:-1] + f', "usage": {usage}}}'.encode()))
    assert ask.chat(QUESTION) == Reply(Outcome.OK, text="35 days", claim=usage)


def test_usage_that_quotes_the_key_is_told_without_it(server: ApiServer, ask: Line) -> None:
    server.faults.append(Fault(content=json.dumps({**ANSWER, "usage": "of key secret"}).encode()))
    assert ask.chat(QUESTION).claim == '"of key …"'


def test_usage_that_is_not_told_is_no_claim(server: ApiServer, ask: Line) -> None:
    for usage in ({}, {"usage": None}):
        server.faults.append(Fault(content=json.dumps({**ANSWER, **usage}).encode()))
        assert ask.chat(QUESTION) == Reply(Outcome.OK, text="35 days")


def test_garbage_that_tells_what_it_took_is_told_with_it(server: ApiServer, ask: Line) -> None:
    server.faults.append(Fault(content=b'{"choices": [], "usage": {"prompt_tokens": 7}}'))
    reply = ask.chat(QUESTION)
    assert (reply.outcome, reply.usage) == (Outcome.GARBAGE, Usage(7))


def test_requests_are_spaced() -> None:
    with open_http() as client:
        assert line("http://127.0.0.1:9", client, requests_per_minute=30).turnstile.per_minute == 30
