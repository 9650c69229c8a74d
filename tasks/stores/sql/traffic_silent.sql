-- Sources that brought nothing since a time by which their hours of the week let expect events, while others did.
WITH heard AS (
    SELECT source, max(hour) AS hour
      FROM watchkeeper.event_profiles
     WHERE tenant_id = :tenant AND source = ANY(CAST(:watched AS text[])) AND hour >= :history AND hour < :now
     GROUP BY source
)
SELECT source || ': none since ' || to_char(heard.hour AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC' AS finding
  FROM unnest(CAST(:due_sources AS text[]), CAST(:due_since AS timestamptz[])) AS due (source, since)
  JOIN heard USING (source)
 WHERE heard.hour < due.since
   AND NOT EXISTS (SELECT FROM unnest(CAST(:whole_since AS timestamptz[])) AS whole (since)
                    WHERE whole.since > (SELECT max(hour) FROM heard))
 ORDER BY source
