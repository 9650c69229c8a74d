-- Days whose events are not all counted by source yet: those of which the roll-up knows another number.
SELECT day
  FROM (SELECT date_trunc('day', hour, 'UTC') AS day, sum(events) AS events
          FROM watchkeeper.usage_hourly
         WHERE tenant_id = :tenant AND hour >= :start AND hour < :end
         GROUP BY 1) AS h
  FULL JOIN
       (SELECT date_trunc('day', hour, 'UTC') AS day, sum(events) AS events
          FROM watchkeeper.event_profiles
         WHERE tenant_id = :tenant AND hour >= :start AND hour < :end
         GROUP BY 1) AS p USING (day)
 WHERE h.events IS DISTINCT FROM p.events
 ORDER BY day
