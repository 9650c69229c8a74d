"""Fill the embedding cache ahead of demand, within a daily budget that is claimed before the vendor is called.

Before it: `tasks/ingest_usage.py` has loaded who asked for what. After it: `watchkeeper.EmbeddingCache` is fuller.

Each batch is three steps: claim (a transaction), ask the vendor, keep (a transaction). Killed between them, the claim
stays: the texts are not paid for again on that UTC day, and their share of the budget stays spent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

import httpx
import msgspec
import sqlalchemy as sa
from prefect import task
from prefect.cache_policies import NO_CACHE

from ops.errors import InvalidValue, Unavailable, WatchkeeperError
from ops.scaling.warming import Candidate, WarmPlan, plan_warming
from ops.window import Window
from tasks.http import Limits, received
from tasks.request_body import Refusal
from tasks.settings import Settings, Warming
from tasks.stores import warming as store
from tasks.stores.usage import driver
from watchkeeper.embedding_cache import pack
from watchkeeper.stores import Space
from watchkeeper.stores.postgres import PostgresStore

# OpenAI's limits of one embeddings request.
MAX_INPUTS = 2048
MAX_TOKENS = 300_000
MAX_TOKENS_PER_INPUT = 8192

MAX_ERROR_RATE = 0.02
_WINDOW_HALF_LIVES = 10  # older requests weigh less than a thousandth


class Idle(StrEnum):
    """Why nothing was sent to the vendor."""

    NO_URL = "warming.embeddings_url is not set"
    NO_TEXTS = "warming.store_texts is off"
    NO_DEMAND = "no stored text was asked for lately"
    NOTHING_FITS = "no text is worth warming"


class LeftOut(StrEnum):
    """Why a text was not warmed, beside the reasons of the plan."""

    TOO_LONG = "longer than the vendor takes"
    TRIED_TODAY = "tried already today"
    OUTRUN = "claimed by another run"
    FAILED = "the vendor failed"
    STOPPED = "stopped after failures"


@dataclass(frozen=True, slots=True)
class WarmReport:
    """What a run did: texts warmed, texts left out by reason, what the calls cost, and what warmed entries saved.

    `cost_usd` holds the failed calls too; `saved_usd` is of the entries warmed within the last time to live, None when
    the logs do not tell. `reason` is there when no call was made, `failure` is the last one.
    """

    warmed: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    cost_usd: Decimal = Decimal(0)
    saved_usd: Decimal | None = None
    reason: Idle | None = None
    failure: str | None = None


def warm_embeddings(engine: sa.Engine, http: httpx.Client, settings: Settings, now: datetime) -> WarmReport:
    """Embed the texts that will be asked for soon, and keep their vectors; an idle run is a report too."""
    if not settings.warming.embeddings_url:
        return WarmReport(reason=Idle.NO_URL)
    if not settings.warming.store_texts:
        return WarmReport(reason=Idle.NO_TEXTS)
    return _Run(engine, http, settings, now).report()


@task(name="warm_cache", cache_policy=NO_CACHE)
def warm_cache(engine: sa.Engine, http: httpx.Client, settings: Settings, now: datetime) -> WarmReport:
    """Run `warm_embeddings`."""
    return warm_embeddings(engine, http, settings, now)


class _Run:
    def __init__(self, engine: sa.Engine, http: httpx.Client, settings: Settings, now: datetime) -> None:
        self.engine, self.http, self.tenant, self.now = engine, http, settings.tenant, now
        self.warming = settings.warming
        self.space = Space(self.warming.model, self.warming.dimensions)
        self.ttl = timedelta(hours=self.warming.ttl_hours)
        self.half_life = timedelta(minutes=self.warming.half_life_minutes)
        self.skipped: Counter[str] = Counter()
        self.sent = self.warmed = 0
        self.cost_usd = Decimal(0)
        self.failure: str | None = None

    def report(self) -> WarmReport:
        with self.engine.connect() as connection:
            found = self._candidates(connection)
            plan = self._plan(connection, found)
            saved = store.savings(connection, self.tenant, self.now - self.ttl)
        for batch in batches(plan.entries):
            self._warm(batch)
        idle = None if self.sent else Idle.NOTHING_FITS if found else Idle.NO_DEMAND
        return WarmReport(self.warmed, dict(+self.skipped), self.cost_usd, saved, idle, self.failure)

    def _candidates(self, connection: sa.Connection) -> list[Candidate]:
        window = Window.before(self.now, _WINDOW_HALF_LIVES * self.half_life)
        return store.candidates(connection, self.tenant, self.space.model, window, self.half_life)

    def _plan(self, connection: sa.Connection, found: list[Candidate]) -> WarmPlan:
        keys = [candidate.key for candidate in found]
        cached = PostgresStore(driver(connection), self.tenant).contains_many(self.space, keys, self.now)
        tried = store.tried_on(connection, self.tenant, self.space.model, self.now.date()) - cached
        spent = store.spent_on(connection, self.tenant, self.now.date())
        plan = plan_warming(
            [candidate for candidate in found if not self._bars(candidate, tried)],
            cached, max(self.warming.daily_budget_usd - spent, Decimal(0)), self.warming.max_entries, self.now,
            half_life=self.half_life, ttl=self.ttl,
        )  # fmt: skip
        self.skipped.update(plan.skipped)
        return plan

    def _bars(self, candidate: Candidate, tried: set[str]) -> bool:
        if candidate.tokens > MAX_TOKENS_PER_INPUT:
            self.skipped[LeftOut.TOO_LONG] += 1
            return True
        if candidate.key in tried:
            self.skipped[LeftOut.TRIED_TODAY] += 1
            return True
        return False

    def _warm(self, batch: list[Candidate]) -> None:
        if self.skipped[LeftOut.FAILED] > MAX_ERROR_RATE * self.sent:
            self.skipped[LeftOut.STOPPED] += len(batch)
            return
        with self.engine.begin() as connection:
            claimed = store.reserve(connection, self.tenant, batch, self.now, self.warming.daily_budget_usd)
        self.skipped[LeftOut.OUTRUN] += len(batch) - len(claimed)
        if claimed:
            self._send(claimed)

    def _send(self, claimed: list[Candidate]) -> None:
        self.sent += len(claimed)
        self.cost_usd += sum((entry.cost_usd or Decimal(0) for entry in claimed), Decimal(0))
        try:
            vectors = embed(self.http, self.warming, [entry.text for entry in claimed])
        except WatchkeeperError as error:
            self.failure = str(error)
            self.skipped[LeftOut.FAILED] += len(claimed)
            with self.engine.begin() as connection:
                store.finish(connection, self.tenant, claimed, self.now, "failed")
            return
        self._keep(claimed, vectors)

    def _keep(self, claimed: list[Candidate], vectors: list[bytes]) -> None:
        by_hash = {entry.key: vector for entry, vector in zip(claimed, vectors, strict=True)}
        with self.engine.begin() as connection:
            PostgresStore(driver(connection), self.tenant).put_many(
                self.space, by_hash, self.now, self.now + self.ttl, warmed=True
            )
            store.finish(connection, self.tenant, claimed, self.now, "warmed")
        self.warmed += len(claimed)


def batches(entries: Iterable[Candidate]) -> Iterator[list[Candidate]]:
    """Cut entries, in order, into requests that keep the vendor's limits."""
    batch: list[Candidate] = []
    tokens = 0
    for entry in entries:
        if batch and (len(batch) == MAX_INPUTS or tokens + entry.tokens > MAX_TOKENS):
            yield batch
            batch, tokens = [], 0
        batch.append(entry)
        tokens += entry.tokens
    if batch:
        yield batch


class _Item(msgspec.Struct):
    index: int
    embedding: list[float]


class _Answer(msgspec.Struct):
    data: list[_Item]


def embed(http: httpx.Client, warming: Warming, texts: list[str]) -> list[bytes]:
    """Ask the vendor for the packed vectors of `texts`, in order, in one request that is never repeated.

    Raises:
        Unavailable: no answer, or none that is a success or can be read.
        Refused: HTTP cannot carry the key.
        InvalidValue: an answer of another shape than asked for.
    """
    key = warming.api_key.get_secret_value()
    try:
        request = http.build_request(
            "POST", f"{str(warming.embeddings_url).rstrip('/')}/embeddings",
            headers={"authorization": f"Bearer {key}"} if key else {},
            json={"model": warming.model, "input": texts, "dimensions": warming.dimensions},
        )  # fmt: skip
        response = received(http, request, Limits(most_bytes=_most_bytes(len(texts), warming.dimensions)))
        if not response.is_success:
            raise Unavailable("embeddings vendor", f"HTTP {response.status_code} {response.reason_phrase}")
        answer = msgspec.json.decode(response.content, type=_Answer)
    except (httpx.HTTPError, httpx.InvalidURL, Refusal, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unavailable("embeddings vendor", error) from error
    items = sorted(answer.data, key=lambda item: item.index)
    if [item.index for item in items] != list(range(len(texts))):
        raise InvalidValue("embeddings", f"{len(items)} items", f"one for each of {len(texts)} inputs, by index")
    return [pack(item.embedding, warming.dimensions) for item in items]


def _most_bytes(texts: int, dimensions: int) -> int:
    """Return how large the vectors can be as JSON, with space to spare round the numbers and between them."""
    return 64 * 1024 + texts * (1024 + 40 * dimensions)
