-- title: Sessions by process id, and for those that wait who blocks them
-- source: postgres   min_version: 14   privilege: pg_read_all_stats (else statements are hidden)
-- timeout: 500 ms
-- params: pids, waiters (those to ask pg_blocking_pids about)
-- columns: at, pid, backend_start, leader_pid, database_oid, application_name, backend_type, state,
--   wait_event_type, wait_event, xact_start, query_start, state_change, query, backend_xid,
--   blocking_pids
--
-- pg_blocking_pids takes every partition of the lock table, so it is called for waiters only.
-- The function behind pg_stat_activity is read for the reason given in probe.sql.
SELECT
    clock_timestamp() AS at, pid, backend_start, leader_pid, datid AS database_oid,
    application_name, backend_type, state, wait_event_type, wait_event, xact_start, query_start,
    state_change, query, backend_xid, blocking_pids
FROM unnest(%(pids)s::int[]) AS pid
JOIN pg_stat_get_activity(NULL) USING (pid)
LEFT JOIN (
    SELECT waiter AS pid, pg_blocking_pids(waiter) AS blocking_pids
    FROM unnest(%(waiters)s::int[]) AS waiter
) AS blocked USING (pid)
