-- What an hour and the same hours of the days before it used and cost, by model: in total and of every feature and team.
SELECT CASE WHEN grouping(feature) = 0 THEN 'feature:' || feature WHEN grouping(team_id) = 0 THEN 'team:' || team_id
            ELSE 'total' END AS key,
       vendor || '/' || model AS model, hour = :at AS is_now, sum(events - unpriced_events) AS requests,
       coalesce(sum(input_tokens + output_tokens) FILTER (WHERE unpriced_events < events), 0) AS tokens,
       sum(cost_usd) AS cost_usd
  FROM watchkeeper.usage_hourly
 WHERE tenant_id = :tenant AND hour = ANY(:hours)
 GROUP BY GROUPING SETS ((vendor, model, is_now), (vendor, model, is_now, feature), (vendor, model, is_now, team_id))
