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
from tests.langfuse_api import NOW, PUBLIC, SECRET, LangfuseApi, observation, score, stamp
from tests.polled import NO_WAIT, after, carried, cursor_of, held, polled
from tests.recount import differences

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
Answer = Callable[[Asked], tuple[int, Any]]


def project() -> LangfuseApi:
    """Three hours of a project: 12 generations, 3 embeddings, a span, 5 scores of which one is a word."""
    calls = [observation(number * 13 * MINUTE + MINUTE, id=f"g{number:02}") for number in range(12)]
    embedded = {"type": "EMBEDDING", "providedModelName": "text-embedding-3-small", "costDetails": {}, "totalCost": 0,
                "usageDetails": {"input": 9, "total": 9}}  # fmt: skip
    calls += [observation(number * 50 * MINUTE + MINUTE, id=f"e{number}", **embedded) for number in range(3)]
    calls[4] |= {"level": "ERROR", "statusMessage": "Request timed out.", "usageDetails": {}, "costDetails": {}}
    marks = [score(number * 40 * MINUTE + MINUTE, id=f"s{number}") for number in range(4)]
    words = score(id="word", dataType="CATEGORICAL", value="good")
    return LangfuseApi([*calls, observation(id="span", type="SPAN")], [*marks, words])


def source(server: ApiServer, **fields: Any) -> Source:
    usual = {"url": server.url, "public_key": PUBLIC, "api_key": SecretStr(SECRET), "since": NOW - 3 * HOUR,
             "page_size": 2, "requests_per_minute": 100_000}  # fmt: skip
    return Source(name="traces", kind="langfuse", **{**usual, **fields})


@contextmanager
def serving(answer: Answer, **fields: Any) -> Iterator[tuple[ApiServer, Source]]:
    with api_server(answer) as server:
        yield server, source(server, **fields)


def undisturbed(engine: sa.Engine, api: LangfuseApi) -> dict[str, list[dict[str, Any]]]:
    """Return what the tables hold when all of a project is loaded once, in peace."""
    with serving(api, page_size=None) as (_, calm):
        polled(engine, calm, NOW, tenant="calm")
    return held(engine, "calm")


def test_poll_loads_events_and_scores(engine: sa.Engine) -> None:
    with serving(project()) as (_, asked):
        loaded = polled(engine, asked, NOW)
    assert (loaded.inserted, loaded.skipped, loaded.rejected) == (12 + 3 + 4, 1, 0)
    assert cursor_of(engine, asked) == NOW
    rows = held(engine)
    first = next(row for row in rows["usage_events"] if row["event_id"] == "g00")
    # 120 x 3 + 30,000 x .3 + 2,000 x 3.75 + 340 x 15 millionths of a dollar
    assert first["cost_usd"] == Decimal("0.02196") == first["reported_cost_usd"]
    assert first["input_tokens"] == 120 + 30_000 + 2_000
    embedding = next(row for row in rows["usage_events"] if row["event_id"] == "e0")
    assert (embedding["cost_usd"], embedding["reported_cost_usd"]) == (Decimal("1.8e-7"), None)
    of = {(row["event_id"], row["source"], row["judge_version"], row["prompt_version"]) for row in rows["scores"]}
    assert of == {("6c1f7e0a4b2d9385", "judge", "gpt-4o-mini:1f2e", "3")}
    assert sum(row["failures"] for row in rows["usage_hourly"]) == 1
    assert differences(engine) == []


def test_second_poll_finds_nothing_new(engine: sa.Engine) -> None:
    with serving(project()) as (_, asked):
        polled(engine, asked, NOW)
        before = held(engine)
        again = polled(engine, asked, NOW + MINUTE)
    assert (again.inserted, again.corrected) == (0, 0)
    assert again.duplicates == again.read > 0
    assert held(engine) == before


BREAKING: dict[str, tuple[Fault, int, type[Exception]]] = {
    "credentials that are withdrawn": (Fault(401), 1, Refused),
    "a redirect to a page to sign in": (Fault(302, {"location": "https://login.test"}), 1, Refused),
    "a server that stays down": (Fault(500, NO_WAIT), 5, Unavailable),
    "a longer wait than ours": (Fault(429, {"retry-after": "3600"}), 1, Unavailable),
}


@pytest.mark.parametrize("answers", [0, 11])
@pytest.mark.parametrize(("fault", "times", "error"), BREAKING.values(), ids=BREAKING)
def test_poll_that_breaks_is_taken_up_by_the_next(
    engine: sa.Engine, fault: Fault, times: int, error: type[Exception], answers: int
) -> None:
    with serving(project()) as (server, asked):
        after(server, answers, *[fault] * times)
        with pytest.raises(error) as caught:
            polled(engine, asked, NOW)
        assert (cursor_of(engine, asked) or NOW - 3 * HOUR) < NOW
        polled(engine, asked, NOW)
    assert SECRET not in str(caught.value)
    assert held(engine) == undisturbed(engine, project())
    assert differences(engine) == []


def test_wrong_credentials_are_refused_without_telling_them(engine: sa.Engine) -> None:
    with serving(project(), api_key=SecretStr("sk-lf-wrong")) as (_, asked), pytest.raises(Refused) as caught:
        polled(engine, asked, NOW)
    assert "401 Unauthorized" in str(caught.value)
    assert "sk-lf-wrong" not in str(caught.value)
    assert held(engine)["usage_events"] == []


def changing(api: LangfuseApi, random: Random) -> Answer:
    """Change a row, move another and add a late one before each answer."""

    def answer(asked: Asked) -> tuple[int, Any]:
        changed, moved = random.sample(api.observations, k=2)
        total = random.randrange(1, 10_000)
        changed.update(usageDetails={"input": total, "output": 5, "total": total + 5}, totalCost=total / 1e6)
        changed.update(level=random.choice(["DEFAULT", "ERROR"]), providedModelName=random.choice(["gpt-4o", "o3"]))
        began = NOW - random.randrange(1, 170) * MINUTE
        moved.update(startTime=stamp(began), endTime=stamp(began + MINUTE), latency=60.0)
        api.observations.append(observation(random.randrange(1, 170) * MINUTE, id=f"late{len(api.observations)}"))
        return api(asked)

    return answer


@pytest.mark.parametrize("seed", range(2))
def test_rows_that_change_under_the_cursor_end_with_their_newest_contents(engine: sa.Engine, seed: int) -> None:
    api = project()
    with serving(changing(api, Random(seed)), look_back_minutes=180, page_size=5) as (_, asked):  # noqa: S311  no secret
        polled(engine, asked, NOW)
        polled(engine, asked, NOW + MINUTE)
    with serving(api, look_back_minutes=240, page_size=50) as (_, quiet):
        settled = polled(engine, quiet, NOW + 2 * MINUTE)
    assert settled.corrected > 0
    assert held(engine) == undisturbed(engine, api)
    assert differences(engine) == []


def test_row_that_changes_between_its_two_pages_is_corrected(engine: sa.Engine) -> None:
    api = LangfuseApi([observation(number * MINUTE, id=f"g{number}") for number in range(1, 5)])

    def answer(asked: Asked) -> tuple[int, Any]:
        reply = api(asked)
        newer = {"input": 7, "output": 1, "total": 8}  # the newest row grows old, and comes again on the next page
        api.observations[0].update(usageDetails=newer, startTime=stamp(NOW - 30 * MINUTE))
        return reply

    with serving(answer) as (_, asked):
        loaded, _ = carried(engine, asked, Window(NOW - HOUR, NOW))
    (row,) = (row for row in held(engine)["usage_events"] if row["event_id"] == "g1")
    assert (row["input_tokens"], row["occurred_at"]) == (7, NOW - 30 * MINUTE)
    assert loaded.corrected == 1
    assert differences(engine) == []


def test_generation_that_is_running_is_an_event_when_it_has_ended(engine: sa.Engine) -> None:
    api = LangfuseApi(
        [observation(MINUTE, endTime=None, latency=None, usageDetails={}, costDetails={}, totalCost=None)]
    )
    with serving(api) as (_, asked):
        assert polled(engine, asked, NOW).skipped == 1
        api.observations = [observation(MINUTE)]
        assert polled(engine, asked, NOW + MINUTE).inserted == 1


def test_row_of_another_schema_is_kept_with_its_reason_and_the_others_go_on(engine: sa.Engine) -> None:
    api = project()
    del api.observations[0]["usageDetails"]
    api.observations[1]["latency"] = "fast \ud83d"
    with serving(api) as (_, asked):
        first, second = polled(engine, asked, NOW), polled(engine, asked, NOW + MINUTE)
    assert (first.inserted, first.rejected) == (12 + 3 + 4 - 2, 2)
    assert (second.inserted, second.corrected) == (0, 0)
    rows = held(engine)["usage_rejects"]
    assert {row["field"] for row in rows} == {"usageDetails", "latency"}
    assert {row["source"] for row in rows} == {"traces"}
    assert len(rows) == 2


def test_answer_without_data_stops_the_poll_before_its_cursor(engine: sa.Engine) -> None:
    def answer(asked: Asked) -> tuple[int, Any]:
        return 200, {"observations": [], "meta": {}}

    with serving(answer) as (_, asked), pytest.raises(Unavailable, match="without a list `data`"):
        polled(engine, asked, NOW)
    assert cursor_of(engine, asked) is None


def test_score_that_changes_ends_with_its_newest_value(engine: sa.Engine) -> None:
    api = LangfuseApi([], [score(MINUTE, id="kept"), score(MINUTE, id="changed")])
    with serving(api) as (_, asked):
        polled(engine, asked, NOW)
        api.scores[1].update(value=0.25, source="ANNOTATION")
        again = polled(engine, asked, NOW + MINUTE)
    assert (again.inserted, again.corrected, again.duplicates) == (0, 1, 1)
    rows = {row["score_id"]: (row["value"], row["source"]) for row in held(engine)["scores"]}
    assert rows == {"kept": (0.75, "judge"), "changed": (0.25, "user")}


def test_scores_with_one_id_are_one_score(engine: sa.Engine) -> None:
    api = LangfuseApi([], [score(MINUTE), score(2 * MINUTE), score(id="yes", dataType="BOOLEAN", value=True)])
    with serving(api) as (_, asked):
        loaded = polled(engine, asked, NOW)
    assert (loaded.inserted, loaded.duplicates) == (2, 1)
    assert sorted(row["value"] for row in held(engine)["scores"]) == [0.75, 1.0]
