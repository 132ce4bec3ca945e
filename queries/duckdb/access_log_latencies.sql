-- title: The latencies of each row of access_log_gateway.sql: histograms that can be merged
-- source: duckdb, the tables of access_log_gateway.sql and access_log_rolled.sql
-- columns: row, bound, requests
SELECT row, bound, sum(buckets.requests)::INTEGER AS requests
FROM (SELECT rowid::INTEGER AS row, unnest(parts) AS line_first FROM gateway)
JOIN buckets USING (line_first)
GROUP BY row, bound
ORDER BY row, bound;
