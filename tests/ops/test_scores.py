from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from ops.errors import InvalidValue
from ops.scores import Score, validate

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
THUMB = Score(score_id="s-1", occurred_at=NOW, metric="thumb", value=1.0, source="user")

ACCEPTED = {
    "the least that a score says": {},
    "everything that a score can say": {
        "event_id": "e-1",
        "judge_version": "j-2",
        "release": "v1",
        "model": "m",
        "feature": "f",
        "prompt_version": "14",
        "tags": {"language": "de"},
    },
    "the highest value": {"value": 1e9},
    "the lowest value": {"value": -1e9},
    "a day of clock skew": {"occurred_at": NOW + timedelta(days=1)},
}
REFUSED = {
    "no id": ({"score_id": ""}, "score_id: '' is not a non-empty text"),
    "no metric": ({"metric": ""}, "metric: '' is not a non-empty text"),
    "no source": ({"source": ""}, "source: '' is not a non-empty text"),
    "a metric's name that never ends": ({"metric": 513 * "x"}, "at most 512 characters"),
    "a NUL in an optional field": ({"feature": "a\x00"}, "feature: .* UTF-8 and Postgres"),
    "a tag that never ends": ({"tags": {"language": 513 * "x"}}, "tags.language: .* at most 512 characters"),
    "a tag without an end to its name": ({"tags": {513 * "x": "y"}}, "tags: .* at most 512 characters"),
    "half a character": ({"event_id": "\ud83d"}, "event_id: .* UTF-8 and Postgres"),
    "a naive time": ({"occurred_at": NOW.replace(tzinfo=None)}, "occurred_at: .* a time with a zone"),
    "the future": ({"occurred_at": NOW + timedelta(days=1, seconds=1)}, "occurred_at: .* a day from now"),
    "not a number": ({"value": float("nan")}, "value: nan is not a finite number"),
    "infinity": ({"value": float("-inf")}, "value: -inf is not a finite number"),
    "above a billion": ({"value": 1.1e9}, "value: 1100000000.0 is not .* within a billion"),
}


@pytest.mark.parametrize("changes", ACCEPTED.values(), ids=ACCEPTED)
def test_score_is_accepted(changes: dict[str, Any]) -> None:
    score = msgspec.structs.replace(THUMB, **changes)
    assert validate(score, NOW) is score


@pytest.mark.parametrize(("changes", "reason"), REFUSED.values(), ids=REFUSED)
def test_score_is_refused_with_field_and_reason(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        validate(msgspec.structs.replace(THUMB, **changes), NOW)
