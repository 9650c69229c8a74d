-- Cost by UTC day of everything, each team, feature and model, at today's prices where a ratio says how they changed;
-- NULL where none of the day's events has a price. Beside it, of the hours since the month began, what was paid and how
-- many events have no price; and what the present hour cost.
WITH days AS (
    SELECT date_trunc('day', hour, 'UTC') AS day, vendor, model, team_id, feature, sum(cost_usd) AS cost_usd,
           sum(unpriced_events) = 0 OR sum(unpriced_events) < sum(events) AS is_known,
           coalesce(sum(cost_usd) FILTER (WHERE hour >= :month), 0) AS paid_usd,
           coalesce(sum(unpriced_events) FILTER (WHERE hour >= :month), 0) AS unpriced_events,
           coalesce(sum(cost_usd) FILTER (WHERE hour >= :this_hour), 0) AS hour_usd
      FROM watchkeeper.usage_hourly
     WHERE tenant_id = :tenant AND hour >= :start AND hour < :end
     GROUP BY 1, vendor, model, team_id, feature
), repriced AS (
    SELECT day, days.vendor, days.model, team_id, feature, cost_usd * coalesce(ratio, 1) AS cost_usd, is_known, paid_usd,
           unpriced_events, hour_usd
      FROM days
      LEFT JOIN unnest(CAST(:days AS timestamptz[]), CAST(:vendors AS text[]), CAST(:models AS text[]),
                       CAST(:ratios AS numeric[])) AS r (day, vendor, model, ratio) USING (day, vendor, model)
)
SELECT CASE WHEN grouping(team_id) = 0 THEN 'team' WHEN grouping(feature) = 0 THEN 'feature'
            WHEN grouping(model) = 0 THEN 'model' ELSE 'total' END AS scope,
       coalesce(team_id, feature, vendor || '/' || model, '') AS key, day,
       CASE WHEN bool_or(is_known) THEN sum(cost_usd) END AS cost_usd, sum(paid_usd) AS paid_usd,
       sum(unpriced_events) AS unpriced_events, sum(hour_usd) AS hour_usd
  FROM repriced
 GROUP BY GROUPING SETS ((day), (day, team_id), (day, feature), (day, vendor, model))
HAVING (grouping(team_id) = 1 OR team_id IS NOT NULL) AND (grouping(feature) = 1 OR feature IS NOT NULL)
