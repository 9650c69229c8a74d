-- How often the second of two judged answers to the same item passes where the first does not, and the other way round.
-- Two answers differ in their model, both with the full context, or only in their context; the newest judge counts.
WITH pairs AS (
    SELECT DISTINCT ON (route, item_id, first.model, second.model, second.variant)
           route, first.model AS first_model, second.model AS second_model, second.variant,
           first.passed AS first_passed, second.passed AS second_passed
      FROM watchkeeper.evaluations AS first
      JOIN watchkeeper.evaluations AS second USING (tenant_id, route, item_id, judge_version)
     WHERE tenant_id = :tenant AND first.variant = 'full'
       AND (second.variant = 'full') = (first.model <> second.model)
     ORDER BY route, item_id, first.model, second.model, second.variant,
              least(first.evaluated_at, second.evaluated_at) DESC, judge_version DESC
)
SELECT route, first_model, second_model, variant,
       count(*) FILTER (WHERE second_passed AND NOT first_passed) AS wins,
       count(*) FILTER (WHERE first_passed AND NOT second_passed) AS losses, count(*) AS n
  FROM pairs
 GROUP BY route, first_model, second_model, variant
