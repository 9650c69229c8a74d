from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from ops.errors import Refused, Unavailable
from ops.window import Window
from tasks.settings import Source
from tests.api_server import ApiServer, Asked, Fault, api_server
from tests.helicone_api import KEY, NOW, HeliconeApi, clickhouse, request
from tests.polled import NO_WAIT, after, carried, cursor_of, held, polled
from tests.recount import differences

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
Answer = Callable[[Asked], tuple[int, Any]]


def organisation() -> HeliconeApi:
    """Three hours of an organisation: 14 requests, of which one failed, one hit the cache and one is pending."""
    requests = [request(number * 12 * MINUTE + MINUTE, request_id=f"r{number:02}") for number in range(14)]
    requests[3] |= {"response_status": 429, "prompt_tokens": 0, "completion_tokens": 0, "prompt_cache_read_tokens": 0,
                    "total_tokens": 0, "cost": 0}  # fmt: skip
    requests[5] |= {"cache_enabled": True, "cache_reference_id": "9d7c1f86-0d1e-4d53-a5f4-6f6a4a1c0009"}
    requests[6] |= {"scores": {"helicone-score-feedback": 1, "accuracy": 87}}
    requests[7] |= {"response_status": -2}
    return HeliconeApi(requests)


@contextmanager
def serving(answer: Answer, **fields: Any) -> Iterator[tuple[ApiServer, Source]]:
    with api_server(answer) as server:
        usual = {"url": server.url, "api_key": SecretStr(KEY), "since": NOW - 3 * HOUR, "page_size": 2,
                 "requests_per_minute": 100_000}  # fmt: skip
        yield server, Source(name="gateway", kind="helicone", **{**usual, **fields})


def undisturbed(engine: sa.Engine, api: HeliconeApi) -> dict[str, list[dict[str, Any]]]:
    """Return what the tables hold when everything is loaded once, in peace."""
    with serving(api, page_size=None) as (_, calm):
        polled(engine, calm, NOW, tenant="calm")
    return held(engine, "calm")


def test_poll_loads_events_and_scores(engine: sa.Engine) -> None:
    with serving(organisation()) as (_, asked):
        loaded = polled(engine, asked, NOW)
    assert (loaded.inserted, loaded.skipped, loaded.rejected) == (13 + 2, 2, 0)  # the pending one is on two pages
    assert cursor_of(engine, asked) == NOW
    rows = held(engine)
    events = {row["event_id"]: row for row in rows["usage_events"]}
    # 86 x 2.5 + 1,920 x 1.25 + 300 x 10 millionths of a dollar
    assert events["r00"]["cost_usd"] == Decimal("0.005615") == events["r00"]["reported_cost_usd"]
    assert (events["r05"]["cache_hit"], events["r05"]["cost_usd"]) == (True, 0)
    assert (events["r03"]["status"], events["r03"]["error_type"]) == ("failure", "rate_limit")
    assert {(row["event_id"], row["metric"], row["value"]) for row in rows["scores"]} == {
        ("r06", "thumb", 1.0), ("r06", "accuracy", 87.0),
    }  # fmt: skip
    assert differences(engine) == []


def test_second_poll_finds_only_what_is_new(engine: sa.Engine) -> None:
    api = organisation()
    with serving(api) as (_, asked):
        polled(engine, asked, NOW)
        api.requests[7].update(response_status=200)
        api.requests[1].update(feedback_rating=True)
        again = polled(engine, asked, NOW + MINUTE)
    assert (again.inserted, again.corrected) == (1 + 1, 0)  # the pending one, and a thumb
    assert differences(engine) == []


BREAKING: dict[str, tuple[Fault, int, type[Exception]]] = {
    "a key that is withdrawn": (Fault(401), 1, Refused),
    "a redirect to a page to sign in": (Fault(302, {"location": "https://login.test"}), 1, Refused),
    "a server that stays down": (Fault(500, NO_WAIT), 5, Unavailable),
    "a longer wait than ours": (Fault(429, {"retry-after": "3600"}), 1, Unavailable),
}


@pytest.mark.parametrize("answers", [0, 9])
@pytest.mark.parametrize(("fault", "times", "error"), BREAKING.values(), ids=BREAKING)
def test_poll_that_breaks_is_taken_up_by_the_next(
    engine: sa.Engine, fault: Fault, times: int, error: type[Exception], answers: int
) -> None:
    with serving(organisation()) as (server, asked):
        after(server, answers, *[fault] * times)
        with pytest.raises(error) as caught:
            polled(engine, asked, NOW)
        assert (cursor_of(engine, asked) or NOW - 3 * HOUR) < NOW
        polled(engine, asked, NOW)
    assert KEY not in str(caught.value)
    assert held(engine) == undisturbed(engine, organisation())
    assert differences(engine) == []


def test_wrong_key_is_refused_without_telling_it(engine: sa.Engine) -> None:
    with (
        serving(organisation(), api_key=SecretStr("sk-helicone-wrong")) as (_, asked),
        pytest.raises(Refused) as caught,
    ):
        polled(engine, asked, NOW)
    assert "401 Unauthorized" in str(caught.value)
    assert "sk-helicone-wrong" not in str(caught.value)


def test_rows_that_late_ones_push_onto_the_next_page_count_once(engine: sa.Engine) -> None:
    api = organisation()
    late = iter(range(4))

    def answer(asked: Asked) -> tuple[int, Any]:
        reply = api(asked)
        if (number := next(late, None)) is not None:  # before all that was told, so that it is told again
            api.requests.append(request(179 * MINUTE, request_id=f"late{number}"))
        return reply

    with serving(answer, look_back_minutes=180) as (_, asked):
        pushed, _ = carried(engine, asked, Window(NOW - 3 * HOUR, NOW))
        assert pushed.duplicates > 0
        polled(engine, asked, NOW)
    assert held(engine) == undisturbed(engine, api)
    assert differences(engine) == []


def changing(api: HeliconeApi, random: Random) -> Answer:
    """Change a request before each answer, and now and then finish one that nobody saw."""

    def answer(asked: Asked) -> tuple[int, Any]:
        changed = random.choice(api.requests)
        tokens = random.randrange(1, 10_000)
        changed.update(prompt_tokens=tokens, prompt_cache_read_tokens=0, total_tokens=tokens + 300, cost=tokens / 1e6)
        changed.update(response_status=random.choice([200, 500]), request_model=random.choice(["gpt-4o", "o3"]))
        if random.random() < 0.3:
            when = random.randrange(1, 170) * MINUTE
            api.requests.append(request(when, request_id=f"late{len(api.requests)}"))
        return api(asked)

    return answer


@pytest.mark.parametrize("seed", range(2))
def test_requests_that_change_between_pages_end_with_their_newest_contents(engine: sa.Engine, seed: int) -> None:
    api = organisation()
    with serving(changing(api, Random(seed)), look_back_minutes=180, page_size=5) as (_, asked):  # noqa: S311  no secret
        polled(engine, asked, NOW)
        polled(engine, asked, NOW + MINUTE)
    with serving(api, look_back_minutes=240, page_size=50) as (_, quiet):
        settled = polled(engine, quiet, NOW + 2 * MINUTE)
    assert settled.corrected > 0
    assert held(engine) == undisturbed(engine, api)
    assert differences(engine) == []


def test_request_that_moves_to_another_hour_leaves_the_old_one(engine: sa.Engine) -> None:
    api = HeliconeApi([request(30 * MINUTE)])
    with serving(api) as (_, asked):
        polled(engine, asked, NOW)
        api.requests[0].update(request_created_at=clickhouse(NOW - 90 * MINUTE))
        moved = polled(engine, asked, NOW + MINUTE)
    assert (moved.inserted, moved.corrected) == (0, 1)
    assert [row["hour"] for row in held(engine)["usage_hourly"]] == [NOW - 2 * HOUR]
    assert differences(engine) == []


def test_request_of_another_schema_is_kept_with_its_reason_and_the_others_go_on(engine: sa.Engine) -> None:
    api = organisation()
    del api.requests[0]["completion_tokens"]
    api.requests[1]["request_properties"] = "team=\ud83d"
    with serving(api) as (_, asked):
        first, second = polled(engine, asked, NOW), polled(engine, asked, NOW + MINUTE)
    assert first.inserted == 13 + 2 - 2
    assert first.first_reject
    assert (second.inserted, second.corrected) == (0, 0)
    rows = held(engine)["usage_rejects"]
    assert sorted(row["field"] for row in rows) == ["completion_tokens", "request_properties"]


def test_answer_without_data_stops_the_poll_before_its_cursor(engine: sa.Engine) -> None:
    def answer(asked: Asked) -> tuple[int, Any]:
        return 200, {"data": None, "error": "Memory limit exceeded"}

    with serving(answer) as (_, asked), pytest.raises(Unavailable, match="without a list `data`"):
        polled(engine, asked, NOW)
    assert cursor_of(engine, asked) is None


def test_server_that_heeds_no_offset_stops_the_poll(engine: sa.Engine) -> None:
    def answer(asked: Asked) -> tuple[int, Any]:
        return 200, {"data": [request(2 * HOUR + MINUTE)], "error": None}

    with serving(answer) as (server, asked), pytest.raises(Unavailable, match="its pages never end"):
        polled(engine, asked, NOW)
    assert len(server.asked) == 4  # one with something new, three without
    assert len(held(engine)["usage_events"]) == 1
    assert cursor_of(engine, asked) is None


@pytest.mark.parametrize("seed", range(2))
def test_requests_of_one_time_that_come_in_any_order_are_not_lost(engine: sa.Engine, seed: int) -> None:
    random = Random(seed)  # noqa: S311  no secret
    api = HeliconeApi([request(number // 4 * MINUTE + MINUTE, request_id=f"r{number:02}") for number in range(24)])

    def answer(asked: Asked) -> tuple[int, Any]:
        random.shuffle(api.requests)  # sorted by time alone, as the vendor does
        return api(asked)

    with serving(answer, page_size=6) as (_, asked):
        assert polled(engine, asked, NOW).inserted == 24
    assert differences(engine) == []


def test_thumb_that_is_turned_ends_as_it_was_turned(engine: sa.Engine) -> None:
    api = HeliconeApi([request(MINUTE, feedback_rating=True)])
    with serving(api) as (_, asked):
        polled(engine, asked, NOW)
        api.requests[0].update(feedback_rating=False)
        turned = polled(engine, asked, NOW + MINUTE)
    assert turned.corrected == 1
    assert [row["value"] for row in held(engine)["scores"]] == [0.0]


def test_smaller_pages_than_asked_for_lose_nothing(engine: sa.Engine) -> None:
    api = organisation()

    def answer(asked: Asked) -> tuple[int, Any]:
        status, document = api(asked)
        return status, {**document, "data": document["data"][:3]}

    with serving(answer, page_size=1000) as (_, asked):
        polled(engine, asked, NOW)
    assert held(engine) == undisturbed(engine, organisation())
