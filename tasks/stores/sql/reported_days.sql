-- Every day between the first and the last that a vendor reported in a span; final when it was read long enough after its end.
WITH told AS (
    SELECT vendor, starts_at, max(fetched_at) AS fetched_at
      FROM (SELECT vendor, starts_at, fetched_at FROM watchkeeper.vendor_usage
             WHERE tenant_id = :tenant AND starts_at >= :start AND starts_at < :end
            UNION ALL
            SELECT vendor, starts_at, fetched_at FROM watchkeeper.vendor_costs
             WHERE tenant_id = :tenant AND starts_at >= :start AND starts_at < :end) AS both_reports
     GROUP BY vendor, starts_at
), spans AS (
    SELECT vendor, min(starts_at) AS first, max(starts_at) AS last, max(fetched_at) AS fetched_at FROM told GROUP BY vendor
)
SELECT spans.vendor, (midnight AT TIME ZONE 'UTC')::date AS day,
       coalesce(told.fetched_at, spans.fetched_at) >= midnight + interval '1 day' + :final_after AS is_final
  FROM spans
 CROSS JOIN LATERAL generate_series(first, last, interval '1 day', 'UTC') AS midnight
  LEFT JOIN told ON told.vendor = spans.vendor AND told.starts_at = midnight
