-- title: The sessions that waited for a lock in a window, and the samples of those that they name
-- source: postgres (extension pgsentinel)   min_version: 14   privilege: none
-- timeout: 500 ms
-- params: start, end
-- columns: all of the view, whose number grew with its versions (27 at first, 28 with leader_pid)
WITH sampled AS MATERIALIZED (
    SELECT *
    FROM pg_active_session_history
    WHERE ash_time >= %(start)s AND ash_time < %(end)s
)
SELECT *
FROM sampled
WHERE wait_event_type = 'Lock' OR pid IN (SELECT blockerpid FROM sampled)
ORDER BY ash_time, pid
