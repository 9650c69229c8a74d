-- Keep the staged rejects that are not kept yet; in the order of their keys, so that two loaders do not deadlock.
INSERT INTO watchkeeper.usage_rejects (
    tenant_id, source, reject_id, kind, place, position, field, reason, raw, cut, header, rejected_at)
SELECT tenant_id, source, reject_id, kind, place, position, field, reason, raw, cut, header,
       coalesce(CAST(:rejected_at AS timestamptz), now())
  FROM rejects_staging
 ORDER BY tenant_id, source, reject_id, position
ON CONFLICT DO NOTHING
