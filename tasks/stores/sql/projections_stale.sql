-- The latest projection, where it is older than it may be; where there never was one there is nothing to be stale.
SELECT 'the latest is of ' || to_char(max(as_of) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC' AS finding
  FROM watchkeeper.cost_projections
 WHERE tenant_id = :tenant AND as_of <= :now
HAVING max(as_of) < CAST(:now AS timestamptz) - :fresh_hours * interval '1 hour'
