-- title: Adds what could be read of a piece of an access log to that of the others
-- source: duckdb, the table of access_log_piece.sql and those of access_log_rolled.sql
-- columns: none
--
-- A latency is kept in whole milliseconds, as the gateway logs it, so percentiles are exact. Only where
-- more than 1,000 requests of a second and a row have one they are put into buckets up to a power of 1.01,
-- so a percentile is at most 1 % above the true one, and memory does not grow with the rate (DDSketch,
-- Masson et al., VLDB 2019). A request without a latency is in none.
INSERT INTO rolled BY NAME
SELECT * EXCLUDE (is_parsed, latencies_ms, suspects) FROM piece WHERE is_parsed;

INSERT INTO latencies
SELECT line_first, list({bound: bound, requests: requests})
FROM (
    SELECT
        line_first,
        CASE
            WHEN of_row <= 1000 THEN floor(latency_ms)
            ELSE floor(pow(1.01, ceil(ln(greatest(latency_ms, 1)) / ln(1.01))))
        END::INTEGER AS bound,
        count(*)::INTEGER AS requests
    FROM (
        SELECT line_first, len(latencies_ms) AS of_row, unnest(latencies_ms) AS latency_ms
        FROM piece
        WHERE is_parsed
    )
    GROUP BY ALL
)
GROUP BY line_first;
