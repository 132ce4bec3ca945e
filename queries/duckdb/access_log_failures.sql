-- title: The failed requests (status 5xx), one row each
-- source: duckdb, the table of access_log_requests.sql
-- columns: line, at, request_id, logged_ids, trace_id, method, route, status, error_type, latency_ms, integration_status, message
SELECT
    line, arrived_at AS "at", request_id, logged_ids, trace_id, method, route, status, error_type, latency_ms, integration_status,
    nullif(message, '') AS message
FROM requests
WHERE is_parsed AND status >= 500
ORDER BY line;
