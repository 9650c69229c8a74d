-- Sources of scores that are more than a minute older than the event they are about: somebody's clock is wrong.
SELECT s.source || ': ' || count(*) || ' scores, up to ' || max(e.occurred_at - s.occurred_at) || ' before' AS finding
  FROM watchkeeper.scores AS s
  JOIN watchkeeper.usage_events AS e ON e.tenant_id = s.tenant_id AND e.event_id = s.event_id
 WHERE s.tenant_id = :tenant AND e.occurred_at >= :start AND e.occurred_at < :now
   AND s.occurred_at >= CAST(:start AS timestamptz) - interval '1 day' AND s.occurred_at < e.occurred_at - interval '1 minute'
 GROUP BY s.source
 ORDER BY count(*) DESC
