"""Prices: what sources say beside our own cost, in the hourly roll-up; cards of contracts, and with every decimal.

Cards are the one table without `tenant_id`: they are prices, and their snapshot says whose.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_PRICES = ("input_usd", "cached_usd", "cache_write_usd", "cache_write_1h_usd", "output_usd", "request_usd")
_OLD_KEY = "rate_cards_vendor_model_tier_valid_from_from_input_tokens_key"
_CARD = ("vendor", "model", "tier", "valid_from", "from_input_tokens")

COMPARED = """
-- Both sums are of the events that have both costs.
ALTER TABLE watchkeeper.usage_hourly
    ADD COLUMN compared_cost_usd numeric(24, 12) NOT NULL DEFAULT 0,
    ADD COLUMN compared_reported_usd numeric(24, 12) NOT NULL DEFAULT 0;
UPDATE watchkeeper.usage_hourly AS h
   SET compared_cost_usd = e.cost_usd, compared_reported_usd = e.reported_cost_usd
  FROM (SELECT tenant_id, date_trunc('hour', occurred_at, 'UTC') AS hour, vendor, model, operation, service, release,
               feature, team_id, sum(cost_usd) AS cost_usd, sum(reported_cost_usd) AS reported_cost_usd
          FROM watchkeeper.usage_events
         WHERE cost_usd IS NOT NULL AND reported_cost_usd IS NOT NULL
         GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9) AS e
 WHERE h.tenant_id = e.tenant_id AND h.hour = e.hour AND h.vendor = e.vendor AND h.model = e.model
   AND h.operation = e.operation AND h.service IS NOT DISTINCT FROM e.service
   AND h.release IS NOT DISTINCT FROM e.release AND h.feature IS NOT DISTINCT FROM e.feature
   AND h.team_id IS NOT DISTINCT FROM e.team_id;
ALTER TABLE watchkeeper.usage_hourly
    ALTER COLUMN compared_cost_usd DROP DEFAULT, ALTER COLUMN compared_reported_usd DROP DEFAULT;
"""

COST = """
-- What `ops.cost.pricing.cost` says of a call, rounded as stored: NULL without a card, or where a count that is charged
-- for is unknown.
CREATE FUNCTION watchkeeper.call_cost(
    cache_hit boolean, input_tokens bigint, cached_tokens bigint, cache_write_tokens bigint,
    cache_write_1h_tokens bigint, output_tokens bigint, input_usd numeric, cached_usd numeric, cache_write_usd numeric,
    cache_write_1h_usd numeric, output_usd numeric, request_usd numeric
) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN cache_hit THEN 0
        WHEN (input_tokens IS NULL AND input_usd > 0) OR (output_tokens IS NULL AND output_usd > 0) THEN NULL
        ELSE round(
            input_usd * (coalesce(input_tokens, 0) - coalesce(cached_tokens, 0) - coalesce(cache_write_tokens, 0))
            + CASE WHEN cached_tokens > 0 THEN cached_usd * cached_tokens ELSE 0 END
            + CASE WHEN cache_write_tokens > 0
                   THEN cache_write_usd * (cache_write_tokens - coalesce(cache_write_1h_tokens, 0))
                        + cache_write_1h_usd * coalesce(cache_write_1h_tokens, 0)
                   ELSE 0 END
            + output_usd * coalesce(output_tokens, 0)
            + coalesce(request_usd, 0), 12)
    END;
"""


def upgrade() -> None:
    op.execute(COMPARED)
    op.execute(COST)
    _make_cards("numeric", "rate_cards_key", (*_CARD, "price_snapshot"))


def downgrade() -> None:
    op.execute("DROP FUNCTION watchkeeper.call_cost")
    op.execute("TRUNCATE watchkeeper.rate_cards")  # whatever prices again stores them again
    _make_cards("numeric(20, 15)", _OLD_KEY, _CARD)
    op.execute("ALTER TABLE watchkeeper.usage_hourly DROP COLUMN compared_cost_usd, DROP COLUMN compared_reported_usd")


def _make_cards(kind: str, name_of_key: str, key: tuple[str, ...]) -> None:
    for constraint in ("rate_cards_key", _OLD_KEY):
        op.execute(f"ALTER TABLE watchkeeper.rate_cards DROP CONSTRAINT IF EXISTS {constraint}")
    for name in _PRICES:
        op.execute(f"ALTER TABLE watchkeeper.rate_cards ALTER COLUMN {name} TYPE {kind}")
    columns = ", ".join(key)
    op.execute(f"ALTER TABLE watchkeeper.rate_cards ADD CONSTRAINT {name_of_key} UNIQUE NULLS NOT DISTINCT ({columns})")
