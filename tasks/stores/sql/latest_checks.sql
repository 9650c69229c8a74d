-- The outcomes of each suite's last run, found at the end of the index however long the history is; `stands` is what a
-- check said last: one that could not be evaluated, or had nothing to look at, has said nothing.
SELECT q.suite, q.as_of, q.name, q.severity, q.outcome, q.observed, q.detail, q.told_by, before.outcome AS stands,
       before.detail AS stands_detail, before.as_of AS stands_at
  FROM unnest(CAST(:suites AS text[])) AS s (suite)
 CROSS JOIN LATERAL (
       SELECT max(as_of) AS as_of FROM watchkeeper.quality_checks
        WHERE tenant_id = :tenant AND suite = s.suite AND as_of <= :now) AS last
  JOIN watchkeeper.quality_checks AS q ON q.tenant_id = :tenant AND q.suite = s.suite AND q.as_of = last.as_of
  LEFT JOIN LATERAL (
       SELECT e.outcome, e.detail, e.as_of FROM watchkeeper.quality_checks AS e
        WHERE e.tenant_id = :tenant AND e.suite = q.suite AND e.name = q.name AND e.as_of <= q.as_of
          AND e.outcome IN ('passed', 'failed')
        ORDER BY e.as_of DESC
        LIMIT 1) AS before ON true
 ORDER BY q.suite, q.name
