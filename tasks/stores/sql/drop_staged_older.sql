-- Forget staged events whose id is stored with another time: the stored one was seen later.
DELETE FROM usage_staging AS s
 USING watchkeeper.usage_events AS u
 WHERE u.tenant_id = s.tenant_id AND u.event_id = s.event_id AND u.occurred_at <> s.occurred_at
   AND u.occurred_at BETWEEN s.occurred_at - interval '1 day' AND s.occurred_at + interval '1 day'
