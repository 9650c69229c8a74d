-- The outcomes of each suite's last run, found at the end of the index however long the history is.
SELECT q.suite, q.as_of, q.name, q.severity, q.outcome, q.observed, q.detail
  FROM unnest(CAST(:suites AS text[])) AS s (suite)
 CROSS JOIN LATERAL (
       SELECT max(as_of) AS as_of FROM watchkeeper.quality_checks
        WHERE tenant_id = :tenant AND suite = s.suite AND as_of <= :now) AS last
  JOIN watchkeeper.quality_checks AS q ON q.tenant_id = :tenant AND q.suite = s.suite AND q.as_of = last.as_of
 ORDER BY q.suite, q.name
