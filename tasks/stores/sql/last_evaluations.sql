-- The newest run of each golden set: how far its items have come, and what it scored by series, as its rows of `scores`
-- say it.
SELECT run.run_id, run.name, run.started_at, run.finished_at, run.items, run.spent_usd, run.budget_usd,
       items.begun, items.scored, items.failed, marks.marks
  FROM (SELECT DISTINCT ON (name) * FROM watchkeeper.evaluation_runs
         WHERE tenant_id = :tenant AND name = ANY(CAST(:names AS text[])) AND started_at <= :now
         ORDER BY name, started_at DESC, run_id) AS run
 CROSS JOIN LATERAL (
       SELECT count(DISTINCT item_id) AS begun,
              count(DISTINCT item_id) FILTER (WHERE scores <> '{}') AS scored,
              count(DISTINCT item_id) FILTER (WHERE outcome <> 'ok') AS failed
         FROM watchkeeper.evaluation_calls WHERE tenant_id = :tenant AND run_id = run.run_id) AS items
 CROSS JOIN LATERAL (
       SELECT coalesce(jsonb_agg(mark ORDER BY mark), '[]') AS marks
         FROM (SELECT jsonb_build_array(metric, model, prompt_version, judge_version, count(*), avg(value)) AS mark
                 FROM watchkeeper.scores
                WHERE tenant_id = :tenant AND source IN ('evaluation', 'probe') AND occurred_at = run.started_at
                  AND metric IN (SELECT prefix || key
                                   FROM watchkeeper.evaluation_calls, jsonb_object_keys(scores) AS key,
                                        (VALUES (''), ('probe:')) AS known (prefix)
                                  WHERE tenant_id = :tenant AND run_id = run.run_id)
                  AND starts_with(score_id, source || ':' || run.run_id || ':')
                GROUP BY metric, model, prompt_version, judge_version) AS series) AS marks
