-- title: Who holds the connections
-- source: postgres   min_version: 14   privilege: pg_read_all_stats to see the states of others
-- timeout: 500 ms
-- columns: application_name, state, sessions
SELECT application_name, state, count(*) AS sessions
FROM pg_stat_activity
GROUP BY 1, 2
ORDER BY 3 DESC;
