-- The lowest scores of each metric, with the request that was scored and, when it is asked for, its text where it is kept.
SELECT w.metric, w.score_id, w.value, w.occurred_at, w.event_id, w.source, w.model, w.feature AS route, w.judge_version,
       e.latency_ms, length(t.text) AS characters, CASE WHEN :texts THEN left(t.text, 300) END AS text
  FROM unnest(CAST(:metrics AS text[])) AS m (metric)
 CROSS JOIN LATERAL (
       SELECT *
         FROM watchkeeper.scores AS s
        WHERE s.tenant_id = :tenant AND s.metric = m.metric AND s.occurred_at >= :start AND s.occurred_at < :end
        ORDER BY s.value, s.occurred_at DESC, s.score_id
        LIMIT :shown
       ) AS w
  LEFT JOIN LATERAL (
       SELECT u.latency_ms, u.prompt_hash
         FROM watchkeeper.usage_events AS u
        WHERE u.tenant_id = :tenant AND u.event_id = w.event_id
          AND u.occurred_at >= w.occurred_at - interval '7 days' AND u.occurred_at <= w.occurred_at + interval '1 hour'
        LIMIT 1
       ) AS e ON true
  LEFT JOIN watchkeeper.prompt_texts AS t ON t.tenant_id = :tenant AND t.prompt_hash = e.prompt_hash
 ORDER BY w.metric, w.value, w.occurred_at DESC, w.score_id
