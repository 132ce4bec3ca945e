-- title: How far back the ring of pgsentinel reaches
-- source: postgres (extension pgsentinel)   min_version: 14   privilege: none
-- timeout: 500 ms
-- columns: oldest, newest, samples, max_entries, sampling_period_seconds
SELECT
    min(ash_time) AS oldest,
    max(ash_time) AS newest,
    count(*) AS samples,
    nullif(current_setting('pgsentinel_ash.max_entries', true), '')::int AS max_entries,
    nullif(current_setting('pgsentinel_ash.sampling_period', true), '')::int
        AS sampling_period_seconds
FROM pg_active_session_history
