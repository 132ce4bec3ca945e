-- title: What this server is, who operates it, and since when its settings are in force
-- source: postgres   min_version: 14   privilege: none
-- timeout: 500 ms
-- columns: version, database, in_recovery, settings_loaded (when the configuration files were last
--   read), platform (of a provider whose own database or settings exist here, else empty),
--   rds_log_retention_minutes
SELECT
    current_setting('server_version') AS version,
    current_database()::text AS database,
    pg_is_in_recovery() AS in_recovery,
    pg_conf_load_time() AS settings_loaded,
    CASE
        WHEN EXISTS (SELECT FROM pg_proc WHERE proname = 'aurora_version') THEN 'aurora'
        WHEN current_setting('rds.extensions', true) IS NOT NULL
            OR EXISTS (SELECT FROM pg_database WHERE datname = 'rdsadmin') THEN 'rds'
        WHEN EXISTS (SELECT FROM pg_database WHERE datname = 'cloudsqladmin') THEN 'cloudsql'
        WHEN EXISTS (SELECT FROM pg_database WHERE datname = 'azure_maintenance') THEN 'azure'
        ELSE ''
    END AS platform,
    nullif(current_setting('rds.log_retention_period', true), '')::int AS rds_log_retention_minutes
