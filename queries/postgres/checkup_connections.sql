-- title: How many connections of clients there are now
-- source: postgres   min_version: 14   privilege: none
-- timeout: 500 ms
-- columns: used
-- Without pg_read_all_stats a session of another role has no backend_type: one in a database counts.
SELECT count(*) FILTER (
    WHERE backend_type = 'client backend' OR (backend_type IS NULL AND datid IS NOT NULL)
) AS used
FROM pg_stat_activity
