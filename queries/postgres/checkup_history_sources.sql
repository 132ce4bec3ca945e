-- title: What else on this server may remember: extensions, and monitoring that is connected
-- source: postgres   min_version: 14   privilege: none (pg_read_all_stats to see who monitors)
-- timeout: 500 ms
-- columns: pgsentinel, pg_wait_sampling, pg_stat_statements (whether their views can be read here),
--   pgwatch (sessions of it)
SELECT
    to_regclass('pg_active_session_history') IS NOT NULL AS pgsentinel,
    to_regclass('pg_wait_sampling_history') IS NOT NULL AS pg_wait_sampling,
    to_regclass('pg_stat_statements_info') IS NOT NULL AS pg_stat_statements,
    (SELECT count(*) FROM pg_stat_activity WHERE lower(application_name) ^@ 'pgwatch') AS pgwatch
