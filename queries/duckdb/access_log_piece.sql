-- title: One piece of an access log, rolled up: requests by second, route, status and type
-- source: duckdb, the view of access_log_requests.sql
-- columns: epoch, method, route, status, error_type, line, is_parsed, requests, latencies_ms, suspects, line_first, line_last, first_at, last_at, has_milliseconds, request_id, logged_ids, trace_id, latency_ms, integration_status, message
--
-- A failed request (status 5xx) is a row with its `line`. All lines that could not be read are one row,
-- as blank ones are, of which there may be millions: `suspects` are the first 5,000 of them.
CREATE OR REPLACE TEMP TABLE piece AS
SELECT
    CASE WHEN is_parsed THEN epoch_us(arrived_at) // 1000000 END AS epoch,
    CASE WHEN is_parsed THEN method END AS method,
    CASE WHEN is_parsed THEN route END AS route,
    CASE WHEN is_parsed THEN status END AS status,
    CASE WHEN is_parsed THEN error_type END AS error_type,
    CASE WHEN is_parsed AND status >= 500 THEN line END AS line,
    is_parsed,
    count(*) AS requests,
    list(latency_ms) FILTER (WHERE is_parsed AND latency_ms IS NOT NULL) AS latencies_ms,
    min(line, 5000) FILTER (WHERE NOT is_parsed) AS suspects,
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
