-- title: The failed requests (status 5xx), one row each
-- source: duckdb, the tables of access_log_rolled.sql
-- columns: line, at, request_id, logged_ids, trace_id, method, route, status, error_type, latency_ms, integration_status, message
SELECT
    line, first_at AS "at", request_id, logged_ids, trace_id, method, route, status, error_type, latency_ms, integration_status,
    nullif(message, '') AS message
FROM rolled
WHERE status >= 500
ORDER BY line;
