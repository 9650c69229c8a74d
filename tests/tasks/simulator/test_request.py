from hashlib import sha256

import pytest

from ops.usage import ErrorType, classify_error
from tasks.simulator.cast import CHAT_MODELS, FEATURES
from tasks.simulator.request import (
    CLIENT,
    CONTENT_FILTER,
    RATE_LIMIT,
    SERVER,
    TIMEOUT,
    UNAVAILABLE,
    Request,
    prompt_hash,
)

_CALL = Request(
    call_id="c1",
    started=100.5,
    latency_s=0.25,
    feature=FEATURES[0],
    model=CHAT_MODELS[0],
    user_id="user-1",
    team_id="growth",
    release="v1",
    prompt_version="p3",
    embedding=False,
)


@pytest.mark.parametrize(
    ("changes", "event_id"),
    [
        ({}, "chatcmpl-c1"),
        ({"cache_hit": True}, "chatcmpl-c1_cache_hit100.75"),
        ({"failure": TIMEOUT}, "c1"),
        ({"embedding": True, "cache_hit": False}, "c1"),
        ({"embedding": True, "cache_hit": True}, "c1_cache_hit100.75"),
    ],
    ids=["a chat", "a chat's hit", "a failure has its call's id", "an embedding too", "an embedding's hit"],
)
def test_event_id_follows_the_gateway(changes, event_id):
    call = {name: getattr(_CALL, name) for name in _CALL.__struct_fields__}
    assert Request(**{**call, **changes}).event_id == event_id


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (TIMEOUT, ErrorType.TIMEOUT),
        (RATE_LIMIT, ErrorType.RATE_LIMIT),
        (CONTENT_FILTER, ErrorType.CONTENT_FILTER),
        (SERVER, ErrorType.SERVER),
        (UNAVAILABLE, ErrorType.SERVER),
        (CLIENT, ErrorType.CLIENT),
    ],
)
def test_failure_is_recognised_as_its_kind(failure, kind):
    assert classify_error(failure.error_class, failure.code, failure.message) is kind


def test_prompt_hash_is_the_sha256_of_its_utf8():
    assert prompt_hash("é") == sha256(b"\xc3\xa9").hexdigest()
