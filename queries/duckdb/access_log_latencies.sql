-- title: The latencies of each row of access_log_gateway.sql: histograms that can be merged
-- source: duckdb, the tables of access_log_gateway.sql and access_log_rolled.sql; SET VARIABLE first_row and end_row say of which rows
-- columns: row, bound, requests
SELECT row, bucket.bound AS bound, sum(bucket.requests)::INTEGER AS requests
FROM (
    SELECT row, unnest(buckets) AS bucket
    FROM (
        SELECT rowid::INTEGER AS row, unnest(parts) AS line_first
        FROM gateway
        WHERE rowid >= getvariable('first_row') AND rowid < getvariable('end_row')
    )
    JOIN latencies USING (line_first)
)
GROUP BY row, bound
ORDER BY row, bound;
