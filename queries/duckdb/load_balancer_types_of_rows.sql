-- title: The error type of each candidate, and who answered it
-- source: duckdb over the table `candidates` of a rollup's facts, with load_balancer_error_type.sql
-- columns: error_type, answered_by
SELECT
    load_balancer_error_type(elb_status, target_status, action, error_reason) AS error_type,
    load_balancer_answered_by(elb_status, target_status) AS answered_by
FROM candidates
ORDER BY position;
