-- title: One piece of an access log, rolled up: requests by second, route, status and type
-- source: duckdb, the view of access_log_requests.sql
-- columns: epoch, method, route, status, error_type, line, is_parsed, requests, latencies_ms, line_first, line_last, first_at, last_at, has_milliseconds, request_id, logged_ids, trace_id, latency_ms, integration_status, message
--
-- A failed request (status 5xx) and a line that could not be read are a row each, with their `line`.
CREATE OR REPLACE TEMP TABLE piece AS
SELECT
    epoch_us(arrived_at) // 1000000 AS epoch, method, route, status, error_type,
    CASE WHEN status >= 500 OR NOT is_parsed THEN line END AS line,
    is_parsed,
    count(*) AS requests,
    list(latency_ms) FILTER (WHERE latency_ms IS NOT NULL) AS latencies_ms,
    min(line) AS line_first,
    max(line) AS line_last,
    min(arrived_at) AS first_at,
    max(arrived_at) AS last_at,
    bool_and(has_milliseconds) AS has_milliseconds,
    any_value(request_id) AS request_id,
    any_value(logged_ids) AS logged_ids,
    any_value(trace_id) AS trace_id,
    any_value(CASE WHEN status >= 500 THEN latency_ms END) AS latency_ms,
    any_value(CASE WHEN status >= 500 THEN integration_status END) AS integration_status,
    any_value(message) AS message
FROM requests
GROUP BY ALL;
