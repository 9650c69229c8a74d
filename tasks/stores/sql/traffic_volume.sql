-- Sources that brought fewer or more events than their hours of the week let expect.
SELECT due.source || ': ' || sum(p.events) || ' events, ' || due.least || ' to ' || due.most || ' expected' AS finding
  FROM unnest(CAST(:volume_sources AS text[]), CAST(:volume_since AS timestamptz[]), CAST(:volume_until AS timestamptz[]),
              CAST(:volume_least AS bigint[]), CAST(:volume_most AS bigint[])) AS due (source, since, until, least, most)
  JOIN watchkeeper.event_profiles AS p
       ON p.tenant_id = :tenant AND p.source = due.source AND p.hour >= due.since AND p.hour < due.until
 GROUP BY due.source, due.least, due.most
HAVING sum(p.events) < due.least OR sum(p.events) > due.most
 ORDER BY due.source
