-- What each UTC hour has of the cost of past days, in all and of each team, feature and model: every day that cost
-- something is worth 1, so that a dear day weighs no more than others.
WITH hours AS (
    SELECT CASE WHEN grouping(team_id) = 0 THEN 'team' WHEN grouping(feature) = 0 THEN 'feature'
                WHEN grouping(model) = 0 THEN 'model' ELSE 'total' END AS scope,
           coalesce(team_id, feature, vendor || '/' || model, '') AS key, hour, sum(cost_usd) AS cost_usd
      FROM watchkeeper.usage_hourly
     WHERE tenant_id = :tenant AND hour >= :start AND hour < :end AND cost_usd > 0
     GROUP BY GROUPING SETS ((hour), (hour, team_id), (hour, feature), (hour, vendor, model))
    HAVING (grouping(team_id) = 1 OR team_id IS NOT NULL) AND (grouping(feature) = 1 OR feature IS NOT NULL)
), worth AS (
    SELECT scope, key, hour,
           cost_usd / sum(cost_usd) OVER (PARTITION BY scope, key, date_trunc('day', hour, 'UTC')) AS share
      FROM hours
)
SELECT scope, key, CAST(extract(hour FROM hour AT TIME ZONE 'UTC') AS int) AS hour, CAST(sum(share) AS float) AS worth
  FROM worth
 GROUP BY 1, 2, 3
