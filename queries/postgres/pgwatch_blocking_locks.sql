-- title: The lock pairs that pgwatch stored of a window (half of them may block nobody)
-- source: postgres (pgwatch measurements, version 3 and later)   min_version: 14
-- privilege: SELECT on public.blocking_locks   timeout: 500 ms
-- params: start, end
-- columns: time, dbname, data, tag_data
SELECT time, dbname, data, tag_data
FROM public.blocking_locks
WHERE time >= %(start)s AND time < %(end)s
ORDER BY time, dbname, data::text, tag_data::text
