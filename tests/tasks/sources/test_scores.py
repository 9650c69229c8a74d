from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.errors import InvalidValue
from ops.scores import Score, validate
from tasks.settings import Source
from tasks.sources.interface import Lines
from tasks.sources.scores import KIND, parse

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LEAST = b'{"score_id":"s-1","occurred_at":"2026-03-02T13:00:00+02:00","metric":"thumb","value":1,"source":"user"}'


def test_score_is_parsed() -> None:
    batch = KIND.decoder(Source(name="feedback", path="log"), b"", NOW)(Lines(LEAST))
    when = datetime(2026, 3, 2, 13, tzinfo=timezone(timedelta(hours=2)))
    assert batch.events == batch.rejects == []
    [score] = batch.scores
    assert score == Score(score_id="s-1", occurred_at=when, metric="thumb", value=1.0, source="user")


def test_fields_that_a_score_does_not_have_are_passed_over() -> None:
    assert parse(LEAST[:-1] + b',"judge_version":"j-1","comment":"nice"}')[0].judge_version == "j-1"


REFUSED = {
    "no JSON": (b"thumb up", "line: 'thumb up' is not a score .*JSON is malformed"),
    "no object": (b"[1]", "line: .*Expected `object`"),
    "a value that is text": (LEAST.replace(b":1,", b':"up",'), r"Expected `float`, got `str` - at `\$.value`"),
    "a missing field": (LEAST.replace(b"metric", b"mertic"), "missing required field `metric`"),
    "a time in words": (LEAST.replace(b"2026-03-02T13:00:00+02:00", b"today"), r"Invalid RFC3339.*`\$.occurred_at`"),
    "invalid UTF-8": (LEAST.replace(b"thumb", b"th\xffmb"), "line: .* is not a score"),
    "half a character": (LEAST.replace(b"thumb", rb"\ud83d"), "line: .* is not a score"),
    "20,000 levels": (LEAST[:-1] + b',"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}", "recursion"),
}


@pytest.mark.parametrize(("line", "reason"), REFUSED.values(), ids=REFUSED)
def test_line_is_refused_with_its_reason(line: bytes, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        parse(line)


@given(st.binary() | st.binary().map(lambda inner: LEAST[:60] + inner + LEAST[60:]))
def test_any_bytes_give_a_score_or_a_reason(line: bytes) -> None:
    try:
        [score] = parse(line)
        validate(score, NOW)
    except InvalidValue:
        return
    assert isinstance(score, Score)
