-- title: Whether this is a measurements database of pgwatch, and which sources it has lock pairs of
-- source: postgres (pgwatch measurements, version 3 and later)   min_version: 14   privilege: none
-- timeout: 500 ms
-- columns: has_listing, has_blocking_locks
SELECT
    to_regclass('admin.all_distinct_dbname_metrics') IS NOT NULL AS has_listing,
    (
        SELECT count(*)
        FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = to_regclass('public.blocking_locks')
          AND a.attname IN ('time', 'dbname', 'data', 'tag_data')
    ) = 4 AS has_blocking_locks
