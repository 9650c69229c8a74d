import struct
from hashlib import sha256
from math import sqrt

import httpx
import pytest

from tasks.simulator.vendor_api import EmbeddingServer, embedding

KEY = {"Authorization": "Bearer any"}


@pytest.fixture
def server():
    with EmbeddingServer() as running:
        yield running


def ask(server, headers=KEY, **body):
    return httpx.post(f"{server.base_url}/embeddings", headers=headers, json={"model": "m", "input": "hi", **body})


def test_server_embeds_in_order_with_usage(server):
    answer = ask(server, model="text-embedding-3-small", input=["alpha", "a longer text"])
    assert answer.status_code == 200
    assert answer.json() == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": embedding("alpha")},
            {"object": "embedding", "index": 1, "embedding": embedding("a longer text")},
        ],
        "model": "text-embedding-3-small",
        "usage": {"prompt_tokens": 2 + 4, "total_tokens": 2 + 4},  # 5 // 4 + 1 and 13 // 4 + 1
    }


def test_server_takes_one_text_and_other_dimensions(server):
    (only,) = ask(server, input="alpha", dimensions=10).json()["data"]
    assert only["embedding"] == embedding("alpha", 10)


def test_server_takes_as_many_inputs_as_the_vendor(server):
    assert ask(server, input=["x"] * 2048, dimensions=1).status_code == 200
    assert server.served == 2048


@pytest.mark.parametrize(
    ("asked", "status", "message"),
    [
        ({"input": ["x"] * 2049}, 400, "input: 2049 items, not between 1 and 2048"),
        ({"input": []}, 400, "input: 0 items, not between 1 and 2048"),
        ({"input": 3}, 400, "Expected `str | array`, got `int` - at `$.input`"),
        ({"dimensions": 0}, 400, "dimensions: 0 is not at least 1"),
        ({"headers": {}}, 401, "You didn't provide an API key"),
    ],
    ids=["too many inputs", "no input", "an input of another type", "no dimensions", "no bearer"],
)
def test_server_refuses(server, asked, status, message):
    answer = ask(server, **asked)
    assert (answer.status_code, answer.json()["error"]["message"]) == (status, message)
    assert server.served == 0


def test_server_knows_one_path(server):
    answer = httpx.post(f"{server.base_url}/chat/completions", headers=KEY, json={})
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "Invalid URL (POST /v1/chat/completions)")


def test_server_fails_as_often_as_told(server):
    server.fail_next(2, 429)
    server.fail_next(1, 500)
    answers = [ask(server) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 429, 500, 200]
    assert [answer.headers.get("Retry-After") for answer in answers] == ["0", "0", None, None]


def test_server_stops_listening_when_left():
    with EmbeddingServer() as left:
        assert ask(left).status_code == 200
    with pytest.raises(httpx.ConnectError):
        ask(left)


@pytest.mark.parametrize("dimensions", [1, 8, 13, 64, 1536])
def test_embedding_is_a_unit_vector(dimensions):
    vector = embedding("hello", dimensions)
    assert len(vector) == dimensions
    assert sum(x * x for x in vector) == pytest.approx(1)


def test_embedding_depends_on_the_text_alone():
    assert embedding("hello") == embedding("hello")
    likeness = sum(a * b for a, b in zip(embedding("hello"), embedding("goodbye"), strict=True))
    assert abs(likeness) < 0.5  # random unit vectors of 64 dimensions stray by 1/8


def test_embedding_reads_the_blocks_of_the_hash_as_signed_integers():
    vector = embedding("hello", 10)
    first, second = (struct.unpack(">8i", sha256(f"{block}:hello".encode()).digest()) for block in (0, 1))
    norm = sqrt(sum(number**2 for number in (*first, *second[:2])))
    assert vector == pytest.approx([number / norm for number in (*first, *second[:2])])


def test_server_embeds_in_64_dimensions_unless_told(server):
    assert len(ask(server).json()["data"][0]["embedding"]) == 64


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Input data was truncated"),
        (b"{", "Input data was truncated"),
        (b"[1]", "Expected `object`, got `array`"),
        (b'{"input": "hi"}', "Object missing required field `model`"),
        (b'{"model": "m", "input": ["a", null]}', "Expected `str`, got `null` - at `$.input[1]`"),
        (b'{"model": "m", "input": "\xff"}', "can't decode byte 0xff"),
    ],
    ids=["nothing", "half a document", "a list", "no model", "a null among the inputs", "bytes that are no text"],
)
def test_server_refuses_a_body_of(server, body, message):
    answer = httpx.post(f"{server.base_url}/embeddings", headers=KEY, content=body)
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]
    assert server.served == 0


def test_server_fails_without_counting_what_it_did_not_embed(server):
    server.fail_next(1, 503)
    assert ask(server).headers["Retry-After"] == "0"
    assert (ask(server, input=["a", "b"]).status_code, server.served) == (200, 2)
