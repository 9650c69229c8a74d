-- What the month and the day cost up to now, in all and by team, feature and model, in one reading of the full hours.
WITH hours AS (
    SELECT team_id, feature, vendor || '/' || model AS model, hour >= :day AS is_today, sum(events) AS events,
           sum(unpriced_events) AS unpriced, sum(cost_usd) AS usd
      FROM watchkeeper.usage_hourly
     WHERE tenant_id = :tenant AND hour >= :month AND hour < :now
     GROUP BY team_id, feature, vendor, model, hour >= :day)
SELECT CASE GROUPING(team_id, feature, model) WHEN 3 THEN 'team' WHEN 5 THEN 'feature' WHEN 6 THEN 'model'
                                              ELSE 'total' END AS scope,
       coalesce(team_id, feature, model, '') AS key,
       coalesce(sum(events), 0)::bigint AS month_events, coalesce(sum(unpriced), 0)::bigint AS month_unpriced,
       coalesce(sum(usd), 0) AS month_usd,
       coalesce(sum(events) FILTER (WHERE is_today), 0)::bigint AS day_events,
       coalesce(sum(unpriced) FILTER (WHERE is_today), 0)::bigint AS day_unpriced,
       coalesce(sum(usd) FILTER (WHERE is_today), 0) AS day_usd
  FROM hours
 GROUP BY GROUPING SETS ((), (team_id), (feature), (model))
