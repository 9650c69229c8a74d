-- Add counts to the latency histogram; sorted, as the hours.
INSERT INTO watchkeeper.latency_hourly AS l (tenant_id, hour, vendor, model, service, release, bin, n)
SELECT :tenant, d.*
  FROM unnest(
        CAST(:hour AS timestamptz[]),
        CAST(:vendor AS text[]),
        CAST(:model AS text[]),
        CAST(:service AS text[]),
        CAST(:release AS text[]),
        CAST(:bin AS smallint[]),
        CAST(:n AS bigint[])
       ) AS d (hour, vendor, model, service, release, bin, n)
 ORDER BY hour, vendor, model, service, release, bin
ON CONFLICT (tenant_id, hour, vendor, model, service, release, bin) DO UPDATE SET n = l.n + excluded.n
