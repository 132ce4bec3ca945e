-- title: How many requests an access log holds, and which stretch of time they cover
-- source: duckdb, the tables of access_log_rolled.sql
-- columns: rows, first_at, last_at, has_milliseconds
SELECT
    coalesce(sum(requests), 0)::BIGINT AS rows,
    min(first_at) AS first_at,
    max(last_at) AS last_at,
    coalesce(bool_and(has_milliseconds), false) AS has_milliseconds
FROM rolled;
