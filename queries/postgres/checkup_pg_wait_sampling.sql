-- title: How far back the ring of pg_wait_sampling reaches
-- source: postgres   min_version: 14   privilege: SELECT on pg_wait_sampling_history
-- timeout: 500 ms
-- columns: oldest, newest, samples
SELECT min(ts) AS oldest, max(ts) AS newest, count(*) AS samples
FROM pg_wait_sampling_history
