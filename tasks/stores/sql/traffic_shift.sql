-- Sources whose inputs are of other sizes than in the weeks before: the population stability index over powers of two, where
-- a size that one side lacks counts as half an event; above .25 a distribution is said to have shifted.
WITH sizes AS (
    SELECT source, size, coalesce(sum(events) FILTER (WHERE hour >= :first_hour), 0) AS present,
           coalesce(sum(events) FILTER (WHERE hour < :first_hour), 0) AS past
      FROM watchkeeper.event_profiles
     WHERE tenant_id = :tenant AND source = ANY(CAST(:sized_sources AS text[])) AND hour >= :history AND hour < :now
     GROUP BY source, size
), enough AS (
    SELECT source, sum(present) AS present, sum(past) AS past FROM sizes GROUP BY source
), shares AS (
    SELECT source, greatest(s.present, 0.5) / e.present AS present, greatest(s.past, 0.5) / e.past AS past
      FROM sizes AS s JOIN enough AS e USING (source)
)
SELECT source || ': stability index ' || round(sum((present - past) * ln(present / past)), 2) AS finding
  FROM shares
 GROUP BY source
HAVING sum((present - past) * ln(present / past)) > 0.25
 ORDER BY source
