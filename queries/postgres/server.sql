-- title: What the server is and how it is set, as far as lock evidence depends on it
-- source: postgres   min_version: 14   privilege: none
-- timeout: 500 ms
-- columns: version, version_num, cluster, database, postmaster_start, max_connections,
--   deadlock_timeout_ms, track_activity_query_size, log_lock_waits, log_line_prefix, log_timezone,
--   role, role_quoted, sees_all_sessions (a member of pg_read_all_stats, or a superuser)
SELECT
    current_setting('server_version') AS version,
    current_setting('server_version_num')::int AS version_num,
    current_setting('cluster_name') AS cluster,
    current_database()::text AS database,
    pg_postmaster_start_time() AS postmaster_start,
    current_setting('max_connections')::int AS max_connections,
    (SELECT setting::float8 FROM pg_settings WHERE name = 'deadlock_timeout') AS deadlock_timeout_ms,
    (SELECT setting::int FROM pg_settings WHERE name = 'track_activity_query_size')
        AS track_activity_query_size,
    current_setting('log_lock_waits')::bool AS log_lock_waits,
    current_setting('log_line_prefix') AS log_line_prefix,
    current_setting('log_timezone') AS log_timezone,
    current_user::text AS role,
    quote_ident(current_user) AS role_quoted,
    pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all_sessions
