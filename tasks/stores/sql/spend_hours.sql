-- Cost of every hour of the last 3 weeks, in total and of the dearest features and teams; hours without
-- events are absent.
WITH hours AS (
    SELECT CASE WHEN grouping(feature) = 0 THEN 'feature:' || feature WHEN grouping(team_id) = 0 THEN 'team:' || team_id
                ELSE 'total' END AS key,
           hour, sum(cost_usd) AS cost_usd
      FROM watchkeeper.usage_hourly
     WHERE tenant_id = :tenant AND hour >= :now - interval '21 days' AND hour < date_trunc('hour', :now, 'UTC')
     GROUP BY GROUPING SETS ((hour), (hour, feature), (hour, team_id))
    HAVING (grouping(feature) = 1 OR feature IS NOT NULL) AND (grouping(team_id) = 1 OR team_id IS NOT NULL)
), dearest AS (
    SELECT key FROM hours GROUP BY key ORDER BY sum(cost_usd) DESC, key LIMIT :most
)
SELECT key, hour, cost_usd FROM hours JOIN dearest USING (key) ORDER BY key, hour
