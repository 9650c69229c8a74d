-- Latest projections whose intervals do not hold each other and what is expected, or that fall short of what is spent.
SELECT scope || ' ' || key AS finding
  FROM watchkeeper.cost_projections
 WHERE tenant_id = :tenant
   AND as_of = (SELECT max(as_of) FROM watchkeeper.cost_projections WHERE tenant_id = :tenant AND as_of <= :now)
   AND NOT (0 <= spent_usd AND spent_usd <= month_end_usd AND low95_usd <= low80_usd AND low80_usd <= month_end_usd
            AND month_end_usd <= high80_usd AND high80_usd <= high95_usd AND 0 <= coalesce(week_low95_usd, 0)
            AND coalesce(week_low95_usd <= week_low80_usd AND week_low80_usd <= week_usd
                         AND week_usd <= week_high80_usd AND week_high80_usd <= week_high95_usd, true))
 ORDER BY scope, key
