from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from ops.monitoring.evaluation_calls import Outcome
from tasks.ask_endpoint import Line, Reply, Usage
from tasks.resources import open_http
from tasks.settings import Endpoint
from tests.api_server import ApiServer, Fault, api_server
from tests.model_api import ModelApi

QUESTION = [{"role": "user", "content": "How long?"}]
FAST = 100_000


@pytest.fixture
def server() -> Iterator[ApiServer]:
    documents = {"How long?": ["d1", {"id": "d2", "score": 0.5}, {"id": 3}]}
    vectors = {"a": [1.0, 0.0], "b": [0.0, 1.0]}
    api = ModelApi(answers={"How long?": "35 days"}, documents=documents, vectors=vectors)


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


@pytest.mark.parametrize(
    "usage", [b'"much"', b'{"prompt_tokens": -1}', b'{"prompt_tokens": 99999999999}', b'{"prompt_tokens": 1.5}'],
    ids=["a word", "less than nothing", "more than there can be", "half a token"],
)  # fmt: skip
def test_usage_that_cannot_be_is_not_believed(server: ApiServer, ask: Line, usage: bytes) -> None:
    server.faults.append(Fault(content=b'{"choices": [{"message": {"content": "35"}}], "usage": ' + usage + b"}"))
    assert ask.chat(QUESTION) == Reply(Outcome.OK, text="35")


def test_garbage_that_tells_what_it_took_is_told_with_it(server: ApiServer, ask: Line) -> None:
    server.faults.append(Fault(content=b'{"choices": [], "usage": {"prompt_tokens": 7}}'))
    reply = ask.chat(QUESTION)
    assert (reply.outcome, reply.usage) == (Outcome.GARBAGE, Usage(7))


def test_requests_are_spaced() -> None:
    with open_http() as client:
        assert line("http://127.0.0.1:9", client, requests_per_minute=30).turnstile.per_minute == 30
