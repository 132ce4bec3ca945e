-- title: How much of the load balancer's log could be read, and which stretch of time it covers
-- source: duckdb, the table of load_balancer_requests.sql
-- columns: rows, unparsed, first_at, last_at
SELECT
    count(*) FILTER (WHERE is_parsed) AS rows,
    count(*) FILTER (WHERE NOT is_parsed AND NOT is_blank) AS unparsed,
    min(arrived_at) FILTER (WHERE is_parsed) AS first_at,
    max(arrived_at) FILTER (WHERE is_parsed) AS last_at
FROM balanced;
