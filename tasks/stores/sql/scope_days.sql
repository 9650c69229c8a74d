-- Cost by UTC day of everything, each team, feature and model, at today's prices where a ratio says how they changed;
-- NULL where none of the day's events has a price. What was paid, of the hours since the month began, is beside it.
WITH days AS (
    SELECT date_trunc('day', hour, 'UTC') AS day, vendor, model, team_id, feature, sum(cost_usd) AS cost_usd,
           sum(unpriced_events) = 0 OR sum(unpriced_events) < sum(events) AS is_known,
           coalesce(sum(cost_usd) FILTER (WHERE hour >= :month), 0) AS paid_usd
      FROM watchkeeper.usage_hourly
     WHERE tenant_id = :tenant AND hour >= :start AND hour < :end
     GROUP BY 1, vendor, model, team_id, feature
), repriced AS (
    SELECT day, days.vendor, days.model, team_id, feature, cost_usd * coalesce(ratio, 1) AS cost_usd, is_known, paid_usd
      FROM days
      LEFT JOIN unnest(CAST(:days AS timestamptz[]), CAST(:vendors AS text[]), CAST(:models AS text[]),
                       CAST(:ratios AS numeric[])) AS r (day, vendor, model, ratio) USING (day, vendor, model)
)
SELECT CASE WHEN grouping(team_id) = 0 THEN 'team' WHEN grouping(feature) = 0 THEN 'feature'
            WHEN grouping(model) = 0 THEN 'model' ELSE 'total' END AS scope,
       coalesce(team_id, feature, vendor || '/' || model, '') AS key, day,
       CASE WHEN bool_or(is_known) THEN sum(cost_usd) END AS cost_usd, sum(paid_usd) AS paid_usd
  FROM repriced
 GROUP BY GROUPING SETS ((day), (day, team_id), (day, feature), (day, vendor, model))
HAVING (grouping(team_id) = 1 OR team_id IS NOT NULL) AND (grouping(feature) = 1 OR feature IS NOT NULL)
