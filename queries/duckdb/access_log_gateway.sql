-- title: Requests by second, route, status and type, with a latency histogram that can be merged
-- source: duckdb, the table of access_log_requests.sql
-- columns: second, method, route, status, error_type, requests, latency_ms_bounds, latency_ms_counts, line_first, line_last
--
-- A bucket's bound is a power of 1.02 in whole milliseconds, so a percentile read from it is at most
-- 2 % above the true one; a request without a latency is in no bucket (DDSketch, Masson et al., VLDB 2019, with relative accuracy 1 %).
WITH buckets AS (
    SELECT
        *,
        date_trunc('second', arrived_at) AS second,
        CASE WHEN latency_ms IS NOT NULL
            THEN floor(pow(1.02, ceil(ln(greatest(latency_ms, 1)) / ln(1.02))))::BIGINT END AS bound
    FROM requests
    WHERE is_parsed
),
grouped AS (
    SELECT
        second, method, route, status, error_type,
        count(*) AS requests,
        histogram(bound) FILTER (WHERE bound IS NOT NULL) AS latencies,
        min(line) AS line_first,
        max(line) AS line_last
    FROM buckets
    GROUP BY second, method, route, status, error_type
)
SELECT
    second, method, route, status, error_type, requests,
    coalesce(map_keys(latencies), []) AS latency_ms_bounds,
    coalesce(map_values(latencies), []) AS latency_ms_counts,
    line_first, line_last
FROM grouped
ORDER BY second, method, route, status, error_type;
