-- The total's latest projection, where it is many times, or a small part of, the same month's of a day before.
SELECT 'from ' || b.month_end_usd::numeric(20, 2) || ' to ' || n.month_end_usd::numeric(20, 2) || ' USD' AS finding
  FROM (SELECT * FROM watchkeeper.cost_projections
         WHERE tenant_id = :tenant AND scope = 'total' AND as_of <= :now ORDER BY as_of DESC LIMIT 1) AS n
  JOIN LATERAL (
       SELECT * FROM watchkeeper.cost_projections AS p
        WHERE p.tenant_id = :tenant AND p.scope = 'total' AND p.month = n.month AND NOT p.low_history
          AND p.as_of BETWEEN n.as_of - interval '48 hours' AND n.as_of - interval '20 hours'
        ORDER BY p.as_of DESC LIMIT 1) AS b ON true
 WHERE greatest(n.month_end_usd / nullif(b.month_end_usd, 0), b.month_end_usd / nullif(n.month_end_usd, 0)) > :move_factor
