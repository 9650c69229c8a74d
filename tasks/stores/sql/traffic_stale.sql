-- Whether nothing at all came since a time by which the hours of the week let expect events.
SELECT 'none since ' || to_char(max(p.hour) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC' AS finding
  FROM unnest(CAST(:whole_since AS timestamptz[])) AS due (since)
 CROSS JOIN watchkeeper.event_profiles AS p
 WHERE p.tenant_id = :tenant AND p.source = ANY(CAST(:watched AS text[])) AND p.hour >= :history AND p.hour < :now
 GROUP BY due.since
HAVING max(p.hour) < due.since
