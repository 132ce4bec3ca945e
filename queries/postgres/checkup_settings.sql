-- title: The settings that decide whether a lock wait leaves evidence, and those that wait for a restart
-- source: postgres   min_version: 14   privilege: none (pg_read_all_settings for some of them)
-- timeout: 500 ms
-- columns: name, setting (in its base unit), shown (as people write it), source, pending_restart
SELECT name, setting, current_setting(name) AS shown, source, pending_restart
FROM pg_settings
WHERE pending_restart
    OR name IN (
        'deadlock_timeout',
        'lc_messages',
        'log_destination',
        'log_error_verbosity',
        'log_filename',
        'log_line_prefix',
        'log_lock_waits',
        'log_min_duration_statement',
        'log_min_messages',
        'log_statement',
        'log_timezone',
        'logging_collector',
        'max_connections',
        'reserved_connections',
        'shared_preload_libraries',
        'superuser_reserved_connections',
        'track_activities',
        'track_activity_query_size'
    )
ORDER BY name
