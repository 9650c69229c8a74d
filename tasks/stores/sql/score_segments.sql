-- Per metric and judge: the scores of every part of the traffic, by model, prompt, route, release and tag.
SELECT s.metric, s.judge_version AS judge, d.dimension, d.value, count(*) AS n, avg(s.value) AS mean,
       coalesce(stddev_samp(s.value), 0) AS sigma, bool_and(s.value IN (0, 1)) AS is_share
  FROM watchkeeper.scores AS s
 CROSS JOIN LATERAL (
       VALUES ('all', ''), ('model', s.model), ('prompt', s.prompt_version), ('route', s.feature), ('release', s.release)
        UNION ALL
       SELECT t.key, t.value
         FROM jsonb_each_text(CASE jsonb_typeof(s.tags) WHEN 'object' THEN s.tags ELSE '{}' END) AS t
        UNION ALL
       SELECT 'tag', t.value
         FROM jsonb_array_elements_text(CASE jsonb_typeof(s.tags) WHEN 'array' THEN s.tags ELSE '[]' END) AS t
       ) AS d (dimension, value)
 WHERE s.tenant_id = :tenant AND s.metric = ANY(:metrics) AND s.occurred_at >= :start AND s.occurred_at < :end
   AND d.value IS NOT NULL
 GROUP BY s.metric, s.judge_version, d.dimension, d.value
HAVING count(*) >= :fewest OR d.dimension = 'all'
