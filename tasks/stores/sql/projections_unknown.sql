-- Latest projections of a team, feature or model that the roll-ups of 92 days do not know.
SELECT p.scope || ' ' || p.key AS finding
  FROM watchkeeper.cost_projections AS p
 WHERE p.tenant_id = :tenant AND p.scope <> 'total'
   AND p.as_of = (SELECT max(as_of) FROM watchkeeper.cost_projections WHERE tenant_id = :tenant AND as_of <= :now)
   AND NOT EXISTS (
       SELECT FROM watchkeeper.usage_hourly AS h
        WHERE h.tenant_id = p.tenant_id AND h.hour >= p.as_of - interval '93 days'
          AND p.key = CASE p.scope WHEN 'team' THEN h.team_id WHEN 'feature' THEN h.feature
                                   ELSE h.vendor || '/' || h.model END)
 ORDER BY p.scope, p.key
