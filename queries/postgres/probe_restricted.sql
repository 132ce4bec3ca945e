-- title: How many sessions wait for a lock, for a role that cannot see the states of others
-- source: postgres   min_version: 14   privilege: none
-- timeout: 500 ms
-- columns: waiting
--
-- pg_locks is visible to everybody. Reading it takes every partition of the lock table for a
-- moment, which is why a role that may see states does not do it each second.
SELECT count(DISTINCT pid) AS waiting
FROM pg_locks
WHERE NOT granted
