-- title: The heartbeat: sessions by application, state and wait event, and DDL of open transactions
-- source: postgres   min_version: 14   privilege: pg_read_all_stats (else states are hidden)
-- timeout: 500 ms
-- columns: at, application_name, state, wait_event_type, wait_event, sessions, pid, backend_start,
--   xact_start, query_start, query. Rows with a pid are statements, rows without one are counts.
--
-- The function behind pg_stat_activity: the view joins pg_database and pg_authid, and would wait
-- where one of them is locked. So this locks no relation.
-- A statement is listed if it may take a strong lock: it is none of the plain ones below, after
-- blanks, comments and what only steers a transaction ("BEGIN; ALTER TABLE ..." is one query).
WITH seen AS MATERIALIZED (
    SELECT
        clock_timestamp() AS at, pid, leader_pid, application_name, state, wait_event_type,
        wait_event, backend_start, xact_start, query_start, query
    FROM pg_stat_get_activity(NULL)
    WHERE pid <> pg_backend_pid()
)
SELECT
    max(at) AS at, application_name, state, wait_event_type, wait_event, count(*) AS sessions,
    NULL::int AS pid, NULL::timestamptz AS backend_start, NULL::timestamptz AS xact_start,
    NULL::timestamptz AS query_start, NULL::text AS query
FROM seen
GROUP BY application_name, state, wait_event_type, wait_event
UNION ALL
SELECT
    at, application_name, state, wait_event_type, wait_event, 1,
    pid, backend_start, xact_start, query_start, query
FROM seen
WHERE xact_start IS NOT NULL
    AND leader_pid IS NULL
    AND query <> ''
    AND query !~* (
        '^([\s(]|--[^\n]*(\n|$)|/\*([^*]|\*+[^*/])*\*+/'
        '|(begin|start|set|savepoint|release|show|reset|commit|end|rollback|abort)\M[^;]*;)*'
        '($|(begin|start|set|savepoint|release|show|reset|commit|end|rollback|abort)\M[^;]*$'
        '|(select|insert|update|delete|merge|with|values|table|fetch|execute|prepare|deallocate'
        '|declare|close|move|discard|explain)\M)'
    )
