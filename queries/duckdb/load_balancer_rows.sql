-- title: Requests of the load balancer by second, path and statuses; each failure in a row of its own
-- source: duckdb, the table of load_balancer_requests.sql
-- columns: second, at, load_balancer, method, path, elb_status, target_status, answered_by, error_type, error_reason, trace_id, latency_ms, requests, latency_ms_bounds, latency_ms_counts, line_first, line_last
--
-- A failure is a status of 5xx, or 460 (the client closed the connection first). A bucket's bound is
-- a power of 1.01 in whole milliseconds, so a percentile read from it is at most 1 % above the true one
-- (DDSketch, Masson et al., VLDB 2019). Scanners ask for any path: beyond the 500 that fail or are asked for most, it is `/{other}`.
WITH paths AS (
    SELECT path
    FROM balanced
    WHERE is_parsed
    GROUP BY path
    ORDER BY count(*) FILTER (WHERE elb_status >= 500) DESC, count(*) DESC, path
    LIMIT 500
),
buckets AS (
    SELECT
        balanced.* REPLACE (CASE WHEN paths.path IS NULL THEN '/{other}' ELSE balanced.path END AS path),
        date_trunc('second', arrived_at) AS second,
        CASE WHEN elb_status >= 500 OR elb_status = 460 THEN line END AS failed_line,
        CASE WHEN latency_ms IS NOT NULL
            THEN floor(pow(1.01, ceil(ln(greatest(latency_ms, 1)) / ln(1.01))))::BIGINT END AS bound
    FROM balanced
    LEFT JOIN paths ON paths.path = balanced.path
    WHERE is_parsed
),
grouped AS (
    SELECT
        second, load_balancer, method, path, elb_status, target_status, answered_by, error_type,
        error_reason, failed_line, trace_id,
        CASE WHEN failed_line IS NOT NULL THEN min(arrived_at) END AS "at",
        CASE WHEN failed_line IS NOT NULL THEN min(latency_ms) END AS latency_ms,
        count(*) AS requests,
        histogram(bound) FILTER (WHERE bound IS NOT NULL) AS latencies,
        min(line) AS line_first,
        max(line) AS line_last
    FROM buckets
    GROUP BY second, load_balancer, method, path, elb_status, target_status, answered_by, error_type,
        error_reason, failed_line, trace_id
)
SELECT
    second, "at", load_balancer, method, path, elb_status, target_status, answered_by, error_type,
    error_reason, trace_id, latency_ms, requests,
    coalesce(map_keys(latencies), []) AS latency_ms_bounds,
    coalesce(map_values(latencies), []) AS latency_ms_counts,
    line_first, line_last
FROM grouped
ORDER BY second, line_first;
