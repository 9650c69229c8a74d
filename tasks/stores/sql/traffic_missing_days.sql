-- Full UTC days of the last 14 without an event of a source that has later ones, and had some on the same day of both weeks
-- before.
WITH days AS (
    SELECT source, date_trunc('day', hour, 'UTC') AS day, sum(events) AS events
      FROM watchkeeper.event_profiles
     WHERE tenant_id = :tenant AND source = ANY(CAST(:watched AS text[])) AND hour >= :history AND hour < :now
     GROUP BY 1, 2
), newest AS (
    SELECT source, max(day) AS day FROM days GROUP BY source
)
SELECT n.source || ': ' || to_char(d.day AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS finding
  FROM newest AS n
 CROSS JOIN LATERAL (
       SELECT CAST(:today AS timestamptz) - k * interval '1 day' AS day FROM generate_series(1, 14) AS k) AS d
 WHERE d.day < n.day
   AND NOT EXISTS (SELECT FROM days AS same WHERE same.source = n.source AND same.day = d.day)
   AND 2 = (SELECT count(*) FROM days AS before
             WHERE before.source = n.source AND before.events >= :fewest_due
               AND before.day IN (d.day - interval '7 days', d.day - interval '14 days'))
 ORDER BY n.source, d.day
