-- Add counts to the latency histogram; sorted, as the hours.
INSERT INTO watchkeeper.latency_hourly AS l (tenant_id, hour, vendor, model, service, release, bin, n)
SELECT %(tenant)s, d.*
  FROM unnest(
        CAST(%(hour)b AS timestamptz[]),
        CAST(%(vendor)b AS text[]),
        CAST(%(model)b AS text[]),
        CAST(%(service)b AS text[]),
        CAST(%(release)b AS text[]),
        CAST(%(bin)b AS smallint[]),
        CAST(%(n)b AS bigint[])
       ) AS d (hour, vendor, model, service, release, bin, n)
 ORDER BY hour, vendor, model, service, release, bin
ON CONFLICT (tenant_id, hour, vendor, model, service, release, bin) DO UPDATE SET n = l.n + excluded.n
