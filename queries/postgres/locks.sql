-- title: Every lock but what cannot be waited for, in one pass over the lock table
-- source: postgres   min_version: 14   privilege: none
-- timeout: 500 ms
-- columns: at, then those of pg_locks: pid, locktype, database, relation, page, tuple, virtualxid,
--   transactionid, classid, objid, objsubid, virtualtransaction, mode, granted, fastpath, waitstart.
--   One row with nothing but `at` where there is no lock.
--
-- A fast-path lock conflicts with none in place (documentation of pg_locks). Those on a relation
-- stay all the same: they say in which table a session waits for a row.
SELECT
    begun.at, l.pid, l.locktype, l.database, l.relation, l.page, l.tuple, l.virtualxid,
    l.transactionid, l.classid, l.objid, l.objsubid, l.virtualtransaction, l.mode, l.granted,
    l.fastpath, l.waitstart
FROM (SELECT clock_timestamp() AS at) AS begun
LEFT JOIN pg_locks AS l
    ON l.pid IS DISTINCT FROM pg_backend_pid()
    AND NOT (l.fastpath AND l.locktype = 'virtualxid')
