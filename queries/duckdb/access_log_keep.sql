-- title: Adds what could be read of a piece of an access log to that of the others
-- source: duckdb, the table of access_log_piece.sql and those of access_log_rolled.sql
-- columns: none
--
-- A bucket's bound is a power of 1.02 in whole milliseconds, so a percentile read from it is at most
-- 2 % above the true one; a request without a latency is in no bucket (DDSketch, Masson et al., VLDB 2019, with relative accuracy 1 %).
INSERT INTO rolled BY NAME
SELECT * EXCLUDE (is_parsed, latencies_ms) FROM piece WHERE is_parsed;

INSERT INTO buckets
SELECT
    line_first,
    floor(pow(1.02, ceil(ln(greatest(latency_ms, 1)) / ln(1.02))))::INTEGER AS bound,
    count(*) AS requests
FROM (SELECT line_first, unnest(latencies_ms) AS latency_ms FROM piece WHERE is_parsed)
GROUP BY ALL;
