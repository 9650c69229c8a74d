"""What warming reads and writes: how often texts are asked for, what a call costs, and what the day has spent.

Before it: `tasks/stores/usage.py` loads the events. After it: `tasks/warm_cache.py` asks `ops/scaling/warming.py`.
Everything here runs inside the caller's transaction. A row of `warm_entries` is written before the vendor is called:
it is the claim on the day's budget and the reason that a text is paid for once a day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from ops.scaling.warming import Candidate
from ops.window import Window
from tasks.stores.tables import prompt_texts, rate_cards, usage_events, warm_entries

MAX_CANDIDATES = 10_000  # five times what one run may warm


def candidates(
    connection: sa.Connection, tenant: str, model: str, window: Window, half_life: timedelta
) -> list[Candidate]:
    """Return the texts embedded within `window`, weighted as of its end, the highest score first.

    Score: the sum of 2^(-age / half_life) over the requests (`ops.scaling.warming.recency_weight`). Texts that are not
    stored are left out.
    """
    demand = _demand(tenant, model, window, half_life).subquery()
    known = prompt_texts.c
    query = (
        sa.select(demand, known.text, _call_cost(model, demand.c.vendor, demand.c.tokens).label("cost_usd"))
        .join(prompt_texts, (known.tenant_id == tenant) & (known.prompt_hash == demand.c.prompt_hash))
        .order_by(demand.c.score.desc(), demand.c.prompt_hash)
        .limit(MAX_CANDIDATES)
    )
    return [
        Candidate(
            key=row.prompt_hash,
            text=row.text,
            model=model,
            score=row.score,
            seen=row.seen,
            last_seen=row.last_seen,
            # A token is at least one byte of the text.
            tokens=row.tokens or len(row.text.encode()),
            cost_usd=row.cost_usd,
        )
        for row in connection.execute(query)
    ]


def _demand(
    tenant: str, model: str, window: Window, half_life: timedelta
) -> sa.Select[tuple[str, float, int, datetime, int, str]]:
    event = usage_events.c
    half_lives = sa.extract("epoch", window.end - event.occurred_at) / half_life.total_seconds()
    # Postgres raises on underflow, near 2^-1075.
    weight = sa.func.power(sa.literal(2.0), -sa.func.least(sa.cast(half_lives, sa.Double), 1000.0))
    return sa.select(
        event.prompt_hash,
        sa.func.sum(weight).label("score"),
        sa.func.count().label("seen"),
        sa.func.max(event.occurred_at).label("last_seen"),
        # One text has one token count, which some gateways log as 0 on a hit.
        sa.func.nullif(sa.func.max(event.input_tokens), 0).label("tokens"),
        sa.func.max(event.vendor).label("vendor"),
    ).where(
        event.tenant_id == tenant, event.operation == "embedding", event.model == model,
        event.occurred_at >= window.start, event.occurred_at < window.end,
    ).group_by(event.prompt_hash)  # fmt: skip


def _call_cost(
    model: str, vendor: sa.ColumnElement[str], tokens: sa.ColumnElement[int]
) -> sa.ScalarSelect[Decimal | None]:
    card = rate_cards.c
    return (
        sa.select(tokens * card.input_usd + sa.func.coalesce(card.request_usd, 0))
        .where(card.vendor == vendor, card.model == model, card.tier.is_(None), card.from_input_tokens <= tokens)
        .where(card.to_input_tokens.is_(None) | (tokens < card.to_input_tokens))
        .order_by(card.valid_from.desc(), card.price_source)  # a contract's before the book's
        .limit(1)
        .scalar_subquery()
    )


def tried_on(connection: sa.Connection, tenant: str, model: str, day: date) -> set[str]:
    """Return the hashes that a run of this day has reserved, whatever became of them."""
    entry = warm_entries.c
    query = sa.select(entry.prompt_hash).where(entry.tenant_id == tenant, entry.model == model, entry.warmed_on == day)
    return set(connection.execute(query).scalars())


def spent_on(connection: sa.Connection, tenant: str, day: date) -> Decimal:
    """Return what the day has reserved, failures included: the vendor may have charged for an answer that was lost."""
    entry = warm_entries.c
    query = sa.select(sa.func.sum(entry.cost_usd)).where(entry.tenant_id == tenant, entry.warmed_on == day)
    return connection.execute(query).scalar() or Decimal(0)


def reserve(
    connection: sa.Connection, tenant: str, entries: Iterable[Candidate], now: datetime, daily_usd: Decimal
) -> list[Candidate]:
    """Claim the entries that fit into what is left of the day's budget, and return those that this call claimed.

    Two runs at once wait for each other here, and no entry is claimed twice on a UTC day. An entry without a price is
    never claimed.
    """
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"watchkeeper.warming/{tenant}"))))
    left = daily_usd - spent_on(connection, tenant, now.date())
    fitting = []
    for entry in entries:
        if entry.cost_usd is not None and entry.cost_usd <= left:
            fitting.append(entry)
            left -= entry.cost_usd
    if not fitting:
        return []
    values = [_reservation(tenant, entry, now) for entry in fitting]
    statement = insert(warm_entries).values(values).on_conflict_do_nothing().returning(warm_entries.c.prompt_hash)
    claimed = set(connection.execute(statement).scalars())
    return [entry for entry in fitting if entry.key in claimed]


def _reservation(tenant: str, entry: Candidate, now: datetime) -> dict[str, object]:
    return {
        "tenant_id": tenant, "prompt_hash": entry.key, "model": entry.model, "warmed_on": now.date(),
        "state": "reserved", "cost_usd": entry.cost_usd, "warmed_at": now,
    }  # fmt: skip


def finish(
    connection: sa.Connection, tenant: str, entries: Collection[Candidate], now: datetime,
    state: Literal["warmed", "failed"],
) -> None:  # fmt: skip
    """Say what became of entries reserved at `now`."""
    entry = warm_entries.c
    for model in {each.model for each in entries}:
        keys = [each.key for each in entries if each.model == model]
        connection.execute(
            sa.update(warm_entries)
            .where(entry.tenant_id == tenant, entry.model == model, entry.warmed_on == now.date())
            .where(entry.prompt_hash.in_(keys))
            .values(state=state)
        )


def savings(connection: sa.Connection, tenant: str, since: datetime) -> Decimal | None:
    """Return what the calls would have cost that entries warmed since then answered, in USD.

    An upper bound: where the first miss fills the cache anyway, only that first hit is due to warming. None when the
    logs do not tell whether such calls were answered by a cache.
    """
    event, entry = usage_events.c, warm_entries.c
    warmed = (
        sa.select(
            entry.prompt_hash,
            entry.model,
            sa.func.min(entry.warmed_at).label("warmed_at"),
            sa.func.max(entry.cost_usd).label("cost_usd"),
        )
        .where(entry.tenant_id == tenant, entry.state == "warmed", entry.warmed_at >= since)
        .group_by(entry.prompt_hash, entry.model)
        .subquery()
    )
    asked, told, saved = connection.execute(
        sa.select(
            sa.func.count(),
            sa.func.count(event.cache_hit),
            sa.func.sum(warmed.c.cost_usd).filter(event.cache_hit),
        )
        .join(warmed, (warmed.c.prompt_hash == event.prompt_hash) & (warmed.c.model == event.model))
        .where(event.tenant_id == tenant, event.operation == "embedding")
        .where(event.occurred_at >= since, event.occurred_at >= warmed.c.warmed_at)
    ).one()
    return None if asked and not told else saved or Decimal(0)
