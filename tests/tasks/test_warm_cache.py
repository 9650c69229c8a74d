from __future__ import annotations

import gzip
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import psycopg
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from ops.errors import InvalidValue, Refused, Unavailable
from ops.scaling.warming import Candidate, Skipped, recency_weight
from ops.usage import Status, UsageEvent
from ops.window import Window
from tasks.resources import open_http
from tasks.settings import Warming
from tasks.simulator.vendor_api import EmbeddingServer, embedding
from tasks.stores import warming as store
from tasks.stores.tables import embedding_cache, prompt_texts, rate_cards, warm_entries
from tasks.warm_cache import Idle, LeftOut, WarmReport, batches, embed, warm_cache, warm_embeddings
from tests import hand_made
from tests.api_server import Fault, api_server
from watchkeeper import EmbeddingCache, open_store
from watchkeeper.embedding_cache import text_hash

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MODEL = "text-embedding-3-small"
PER_TOKEN = Decimal("0.00000002")  # $0.02 per million
HALF_LIFE = timedelta(hours=1)
WINDOW = Window.before(NOW, 10 * HALF_LIFE)


@pytest.fixture
def vendor():
    with EmbeddingServer() as running:
        yield running


@pytest.fixture
def http():
    with open_http() as client:
        yield client


@pytest.fixture
def configure(settings, vendor):
    def configured(**changes):
        given = {
            "store_texts": True, "embeddings_url": vendor.base_url, "api_key": SecretStr("secret"), "dimensions": 8,
        }  # fmt: skip
        return settings.model_copy(update={"warming": Warming(**{**given, **changes})})

    return configured


@pytest.fixture
def load(engine):
    """Load requests for the embeddings of a text."""

    def loaded(text, *minutes_ago, tokens=100, now=NOW, **fields):
        events = [
            UsageEvent(**{
                "event_id": f"{text[:30]} {now} {age}", "occurred_at": now - timedelta(minutes=age),
                "vendor": "openai", "model": MODEL, "operation": "embedding", "status": Status.SUCCESS,
                "input_tokens": tokens, "prompt_hash": text_hash(text), "prompt_text": text, **fields,
            })
            for age in minutes_ago
        ]  # fmt: skip
        hand_made.load(engine, events, keep_texts=True)

    return loaded


@pytest.fixture
def warm(engine, http, configure):
    def run(now=NOW, **changes):
        return warm_embeddings(engine, http, configure(**changes), now)

    return run


@pytest.fixture
def states(engine):
    """What became of each text, by its first word."""

    def read():
        texts = sa.select(prompt_texts.c.text, warm_entries.c.state).join(
            warm_entries, warm_entries.c.prompt_hash == prompt_texts.c.prompt_hash
        )
        with engine.connect() as connection:
            return {text.split()[0]: state for text, state in connection.execute(texts)}

    return read


def found(engine, **changes):
    asked = {"tenant": "default", "model": MODEL, "window": WINDOW, "half_life": HALF_LIFE, **changes}
    with engine.connect() as connection:
        return store.candidates(connection, **asked)


def entry(key, cost="0.4", tokens=100):
    return Candidate(
        key=key, text=key, model=MODEL, score=1, seen=2, last_seen=NOW, tokens=tokens,
        cost_usd=None if cost is None else Decimal(cost),
    )  # fmt: skip


# What is asked for


def test_candidates_carry_recency_weight_price_and_text(engine, load):
    load("alpha", 0.5, 60, 120, tokens=150)
    load("beta", 30)
    ages = [timedelta(minutes=age) for age in (0.5, 60, 120)]
    alpha, beta = found(engine)
    assert alpha == Candidate(
        key=text_hash("alpha"), text="alpha", model=MODEL, seen=3, last_seen=NOW - ages[0], tokens=150,
        score=pytest.approx(sum(recency_weight(age, HALF_LIFE) for age in ages)), cost_usd=150 * PER_TOKEN,
    )  # fmt: skip
    assert (beta.text, beta.score) == ("beta", pytest.approx(2**-0.5))


@pytest.mark.parametrize(
    "fields",
    [
        {"operation": "chat", "output_tokens": 1},
        {"model": "text-embedding-3-large"},
        {"prompt_hash": None, "prompt_text": None},
        {"prompt_text": None},
    ],
    ids=["a chat", "another model", "no hash", "a text that is not stored"],
)
def test_candidates_leave_out(engine, load, fields):
    load("alpha", 1, 2, **fields)
    assert found(engine) == []


def test_candidates_are_of_one_tenant_and_window(engine, load):
    load("alpha", 5)
    assert found(engine, tenant="rival") == []
    assert found(engine, window=Window(NOW - DAY, NOW - timedelta(minutes=5))) == []
    assert len(found(engine, window=Window(NOW - timedelta(minutes=5), NOW))) == 1


def test_candidates_with_a_price_that_nobody_knows_have_no_cost(engine, load):
    load("alpha", 1, model="in-house")
    load("beta", 1, tokens=None)
    assert [each.cost_usd for each in found(engine, model="in-house")] == [None]
    (beta,) = found(engine)
    assert (beta.cost_usd, beta.tokens) == (None, len("beta"))


def test_candidates_ignore_a_token_count_of_0_on_a_hit(engine, load):
    load("alpha", 1, tokens=0, cache_hit=True)
    load("alpha", 2, tokens=70)
    assert [each.tokens for each in found(engine)] == [70]


def test_candidates_take_the_latest_price_of_their_size(engine, load):
    load("alpha", 1, tokens=100)
    card = {
        "vendor": "openai", "model": MODEL, "tier": None, "valid_from": NOW, "valid_to": NOW + DAY,
        "from_input_tokens": 0, "to_input_tokens": 100, "input_usd": Decimal(1), "request_usd": None,
        "price_source": "test", "price_snapshot": "test",
    }  # fmt: skip
    dearer = {"from_input_tokens": 100, "to_input_tokens": None, "input_usd": Decimal(2), "request_usd": Decimal(7)}
    batch = {"tier": "batch", "from_input_tokens": 100, "to_input_tokens": None, "input_usd": Decimal(3)}
    with engine.begin() as connection:
        connection.execute(sa.insert(rate_cards), [card, card | dearer, card | batch])
    assert [each.cost_usd for each in found(engine)] == [100 * 2 + 7]


def test_candidates_from_ages_ago_weigh_nothing_rather_than_raise(engine, load):
    load("alpha", 60 * 24 * 30)
    (alpha,) = found(engine, window=Window.before(NOW, 40 * DAY), half_life=timedelta(minutes=1))
    assert alpha.score == pytest.approx(0)


# What may be spent


def test_reserve_claims_what_fits_into_the_day(engine):
    entries = [entry("a"), entry("b"), entry("dear", "0.3"), entry("c", "0.2"), entry("unpriced", None)]
    with engine.begin() as connection:
        claimed = store.reserve(connection, "acme", entries, NOW, Decimal(1))
        assert [each.key for each in claimed] == ["a", "b", "c"]  # 0.4 + 0.4 + 0.2 = 1
        assert store.spent_on(connection, "acme", NOW.date()) == 1
        assert store.reserve(connection, "acme", [entry("d", "0.1")], NOW, Decimal(1)) == []
        assert store.tried_on(connection, "acme", MODEL, NOW.date()) == {"a", "b", "c"}


def test_reserve_claims_an_entry_once_a_day(engine):
    with engine.begin() as connection:
        for when, expected in ((NOW, 1), (NOW + timedelta(hours=1), 0), (NOW + DAY, 1)):
            assert len(store.reserve(connection, "acme", [entry("a")], when, Decimal(9))) == expected


@pytest.mark.parametrize("state", ["warmed", "failed"])
def test_finish_leaves_the_budget_spent(engine, state):
    with engine.begin() as connection:
        claimed = store.reserve(connection, "acme", [entry("a"), entry("b")], NOW, Decimal(9))
        store.finish(connection, "acme", claimed[:1], NOW, state)
        assert store.spent_on(connection, "acme", NOW.date()) == Decimal("0.8")
        rows = connection.execute(sa.select(warm_entries.c.prompt_hash, warm_entries.c.state)).all()
    assert sorted(rows) == [("a", state), ("b", "reserved")]


def test_reserve_from_many_sides_at_once_never_exceeds_the_day(engine):
    def claim(side):
        with engine.begin() as connection:
            return len(store.reserve(connection, "acme", [entry(f"{side}-{i}") for i in range(3)], NOW, Decimal(1)))

    with ThreadPoolExecutor(4) as sides:
        assert sum(sides.map(claim, range(4))) == 2  # 2 x 0.4 fits into 1, 3 x 0.4 does not


# What was saved


@pytest.mark.parametrize(
    ("hits", "saved"),
    [
        ([True, True, False], 2 * 100 * PER_TOKEN),
        ([False], Decimal(0)),
        ([], Decimal(0)),
        ([None, None], None),
        ([None, True], 100 * PER_TOKEN),
    ],
    ids=["two hits and a miss", "a miss", "no request", "a log that does not tell", "a log that tells of one"],
)
def test_savings_are_what_hits_on_warmed_entries_would_have_cost(engine, load, warm, hits, saved):
    load("alpha", 1, 2, cache_hit=True)  # before it was warmed
    assert warm().warmed == 1
    for number, hit in enumerate(hits):
        load("alpha", number, now=NOW + timedelta(hours=1), cache_hit=hit)
    load("beta", 0, now=NOW + timedelta(hours=1), cache_hit=True)  # never warmed
    with engine.connect() as connection:
        assert store.savings(connection, "default", NOW - DAY) == saved
        assert store.savings(connection, "rival", NOW - DAY) == 0
        assert store.savings(connection, "default", NOW + timedelta(seconds=1)) == 0


# The run


def test_warming_without_settings_says_which_one_is_missing(warm):
    assert warm(embeddings_url=None) == WarmReport(reason=Idle.NO_URL)
    assert warm(store_texts=False) == WarmReport(reason=Idle.NO_TEXTS)


def test_warming_without_demand_says_so(warm, vendor):
    assert warm() == WarmReport(reason=Idle.NO_DEMAND, saved_usd=Decimal(0))


def test_warmed_vectors_are_hits_of_the_cache_in_the_request_path(load, warm, vendor, database_url):
    load("alpha", 1, 2)
    load("beta", 1, 2, tokens=50)
    load("rare", 1)
    report = warm()
    assert report == WarmReport(
        warmed=2, skipped={Skipped.RARE: 1}, cost_usd=(100 + 50) * PER_TOKEN, saved_usd=Decimal(0)
    )
    with psycopg.connect(database_url.replace("+psycopg", "", 1), autocommit=True) as connection:
        shared = open_store("postgres", connection=connection, tenant="default")
        cache = EmbeddingCache(shared, MODEL, 8, timedelta(hours=24), clock=lambda: NOW)
        vectors = cache.embed(["beta", "new", "alpha"], lambda texts: [embedding(text, 8) for text in texts])
    assert (cache.stats.hits, cache.stats.misses) == (2, 1)
    for vector, text in zip(vectors, ["beta", "new", "alpha"], strict=True):
        assert vector == pytest.approx(embedding(text, 8), rel=2**-11, abs=1e-6)
    assert vendor.served == 2


def test_warming_marks_its_vectors_and_their_end(engine, load, warm, states):
    load("alpha", 1, 2)
    warm(ttl_hours=6)
    with engine.connect() as connection:
        row = connection.execute(sa.select(embedding_cache)).one()
    assert (row.warmed, row.created_at, row.expires_at) == (True, NOW, NOW + timedelta(hours=6))
    assert states() == {"alpha": "warmed"}


def test_warming_again_finds_everything_there(load, warm, vendor):
    load("alpha", 1, 2)
    warm()
    again = warm(NOW + timedelta(minutes=5))
    assert (again.reason, again.skipped) == (Idle.NOTHING_FITS, {Skipped.CACHED: 1})
    assert vendor.served == 1


def test_warming_after_the_entry_expired_waits_for_another_day(load, warm, vendor):
    load("alpha", 1, 2)
    warm(ttl_hours=1)
    later = NOW + timedelta(hours=2)
    load("alpha", 1, 2, now=later)
    assert warm(later, ttl_hours=1).skipped == {LeftOut.TRIED_TODAY: 1}
    load("alpha", 1, 2, now=NOW + DAY)
    assert warm(NOW + DAY, ttl_hours=1).warmed == 1


def test_warming_stays_within_the_daily_budget_over_runs(load, warm, vendor):
    budget = 250 * PER_TOKEN
    for text in ("alpha", "beta", "gamma"):
        load(text, 1, 2)
    first = warm(daily_budget_usd=budget)
    assert (first.warmed, first.cost_usd, first.skipped) == (2, 200 * PER_TOKEN, {Skipped.OVER_BUDGET: 1})
    assert warm(daily_budget_usd=budget).skipped == {Skipped.CACHED: 2, Skipped.OVER_BUDGET: 1}
    assert warm(daily_budget_usd=Decimal(0)).warmed == 0  # lowered below what is spent
    assert vendor.served == 2


def test_warming_leaves_out_what_the_vendor_does_not_take(load, warm):
    load("long", 1, 2, tokens=8193)
    load("just", 1, 2, tokens=8192)
    report = warm()
    assert (report.warmed, report.skipped) == (1, {LeftOut.TOO_LONG: 1})


def test_vendor_error_loses_its_batch_for_the_day_and_stops_the_rest(load, warm, vendor, states):
    for number in range(40):
        load(f"text-{number:02} {'x' * 30}", 1 + number / 10, 10, tokens=8000)  # 37 x 8000 <= 300,000
    vendor.fail_next(1, 503)
    report = warm(daily_budget_usd=Decimal(9))
    assert report.failure == "embeddings vendor is unavailable: HTTP 503 Service Unavailable"
    assert (report.warmed, report.skipped) == (0, {LeftOut.FAILED: 37, LeftOut.STOPPED: 3})
    assert report.cost_usd == 37 * 8000 * PER_TOKEN
    assert (set(states().values()), len(states())) == ({"failed"}, 37)
    second = warm(daily_budget_usd=Decimal(9))
    assert (second.warmed, second.skipped) == (3, {LeftOut.TRIED_TODAY: 37})
    assert vendor.served == 3


def test_warming_continues_over_batches(load, warm, vendor):
    for number in range(40):
        load(f"text-{number:02} {'x' * 30}", 1, 2, tokens=8000)
    assert warm(daily_budget_usd=Decimal(9)).warmed == vendor.served == 40


def test_crash_after_the_claim_does_not_pay_twice(engine, load, configure, warm, vendor, states):
    def killed(request):
        raise KeyboardInterrupt

    load("alpha", 1, 2)
    with httpx.Client(transport=httpx.MockTransport(killed)) as dying, pytest.raises(KeyboardInterrupt):
        warm_embeddings(engine, dying, configure(), NOW)
    assert states() == {"alpha": "reserved"}
    again = warm()
    assert (again.skipped, again.reason) == ({LeftOut.TRIED_TODAY: 1}, Idle.NOTHING_FITS)
    assert vendor.served == 0
    assert warm(NOW + timedelta(hours=12), half_life_minutes=720).warmed == 1  # the next UTC day


def test_two_runs_at_once_pay_once(engine, load, configure, vendor):
    texts = [f"text-{number}" for number in range(20)]
    for text in texts:
        load(text, 1, 2)

    def run(_):
        with open_http() as client:
            return warm_embeddings(engine, client, configure(), NOW)

    with ThreadPoolExecutor(3) as sides:
        reports = list(sides.map(run, range(3)))
    assert sum(report.warmed for report in reports) == vendor.served == len(texts)


def test_reservation_lost_to_another_run_is_reported(engine, load, configure, vendor):
    """The other run claims while this one waits for the answer to its first batch."""

    def race(request):
        with engine.begin() as connection:
            store.reserve(connection, "default", found(engine), NOW, Decimal(9))
        answer = vendor_client.send(httpx.Request("POST", request.url, headers=request.headers, content=request.read()))
        return httpx.Response(answer.status_code, content=answer.content)

    for number in range(40):
        load(f"text-{number:02} {'x' * 30}", 1, 2, tokens=8000)
    with httpx.Client() as vendor_client, httpx.Client(transport=httpx.MockTransport(race)) as http:
        report = warm_embeddings(engine, http, configure(daily_budget_usd=Decimal(9)), NOW)
    assert (report.warmed, report.skipped) == (37, {LeftOut.OUTRUN: 3})


def test_task_is_the_function_and_never_cached(engine, http, configure):
    assert warm_cache.fn(engine, http, configure(embeddings_url=None), NOW).reason == Idle.NO_URL
    assert (warm_cache.name, warm_cache.cache_policy.compute_key(None, {}, {})) == ("warm_cache", None)


# The request


@pytest.mark.parametrize(
    ("sizes", "cut"),
    [
        ([], []),
        ([8000] * 37, [37]),
        ([8000] * 38, [37, 1]),
        ([1] * 2049, [2048, 1]),
        ([150_000, 150_000, 1], [2, 1]),
    ],
    ids=["none", "below the tokens", "over the tokens", "over the inputs", "exactly the tokens"],
)
def test_batches_keep_the_limits_of_one_request(sizes, cut):
    entries = [entry(str(number), tokens=size) for number, size in enumerate(sizes)]
    made = list(batches(entries))
    assert [len(batch) for batch in made] == cut
    assert [each for batch in made for each in batch] == entries


def test_embed_restores_the_order_by_index():
    def shuffled(request):
        assert request.headers["authorization"] == "Bearer secret"
        return httpx.Response(200, json={"data": [item(1, [0, 1]), item(0, [1, 0])]})

    warming = Warming(embeddings_url="http://vendor/v1/", api_key=SecretStr("secret"), dimensions=2)
    with httpx.Client(transport=httpx.MockTransport(shuffled)) as http:
        assert embed(http, warming, ["a", "b"]) == [b"\x00<\x00\x00", b"\x00\x00\x00<"]


def item(index, vector):
    return {"index": index, "embedding": vector}


@pytest.mark.parametrize(
    ("status", "answer", "error", "message"),
    [
        (401, {}, Unavailable, "HTTP 401 Unauthorized"),
        (302, {}, Unavailable, "HTTP 302 Found"),
        (200, [], Unavailable, "Expected `object`, got `array`"),
        (200, {"data": [item(0, ["x"])]}, Unavailable, "Expected `float`, got `str`"),
        (200, {"data": [item(0, [1, 0])]}, InvalidValue, "'1 items' is not one for each of 2 inputs"),
        (200, {"data": [item(0, [1, 0]), item(0, [1, 0])]}, InvalidValue, "by index"),
        (200, {"data": [item(0, [1, 0]), item(1, [1])]}, InvalidValue, "'1 numbers' is not of 2 dimensions"),
        (200, {"data": [item(0, [1, 0]), item(1, [1, 1e9])]}, InvalidValue, "1000000000.0 is not a finite number"),
    ],
    ids=[
        "a refusal", "a redirect", "another document", "a text for a number", "an item too few", "an index twice",
        "another dimension", "a number too large",
    ],
)  # fmt: skip
def test_embed_refuses_an_answer(status, answer, error, message):
    transport = httpx.MockTransport(lambda _request: httpx.Response(status, json=answer))
    with httpx.Client(transport=transport) as http, pytest.raises(error, match=message):
        embed(http, Warming(embeddings_url="http://vendor/v1", dimensions=2), ["a", "b"])


def test_embed_of_a_vendor_that_is_not_there_is_unavailable(http):
    with pytest.raises(Unavailable, match="embeddings vendor is unavailable"):
        embed(http, Warming(embeddings_url="http://127.0.0.1:9/v1"), ["a"])


@pytest.mark.parametrize("body", [b" " * 200_000, gzip.compress(bytes(10_000_000))], ids=["too long", "a bomb"])
def test_embed_refuses_an_answer_larger_than_what_was_asked_for(http, body):
    packed = {"content-encoding": "gzip"} if body.startswith(b"\x1f") else {}
    with api_server(lambda _: (200, {})) as server:
        server.faults.append(Fault(content=body, headers=packed))
        with pytest.raises(Unavailable, match=r"the body is larger than 66,640 bytes"):  # 65,536 + 1 * (1,024 + 40 * 2)
            embed(http, Warming(embeddings_url=server.url, dimensions=2), ["a"])


def test_embed_tells_no_key_that_http_cannot_carry(http):
    with api_server(lambda _: (200, {})) as server:
        warming = Warming(embeddings_url=server.url, api_key=SecretStr("sec\nret"))
        with pytest.raises(Refused, match="a line break in a key") as caught:
            embed(http, warming, ["a"])
    assert "sec" not in str(caught.value)
