-- title: The sessions that have been idle in a transaction for longest: they keep their locks and do nothing
-- source: postgres   min_version: 14   privilege: pg_read_all_stats
-- timeout: 500 ms
-- columns: pid, application_name, role, database, idle_seconds, sessions (idle in transaction at all)
SELECT
    pid,
    application_name,
    usename::text AS role,
    datname::text AS database,
    extract(epoch FROM clock_timestamp() - state_change)::float8 AS idle_seconds,
    count(*) OVER () AS sessions
FROM pg_stat_activity
WHERE state IN ('idle in transaction', 'idle in transaction (aborted)')
ORDER BY state_change
LIMIT 1
