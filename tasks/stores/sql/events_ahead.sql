-- Sources whose events, loaded by now, are to begin more than five minutes from now.
SELECT source || ': ' || count(*) || ' events up to ' || to_char(max(occurred_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')
       || ' UTC' AS finding
  FROM watchkeeper.usage_events
 WHERE tenant_id = :tenant AND occurred_at > CAST(:now AS timestamptz) + interval '5 minutes' AND ingested_at <= :now
 GROUP BY source
 ORDER BY count(*) DESC
