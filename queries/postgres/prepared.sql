-- title: Prepared transactions: they hold locks without a process
-- source: postgres   min_version: 14   privilege: none
-- timeout: 500 ms
-- columns: gid, transaction, database, owner, prepared_at
--
-- To be joined with pg_locks by the transaction: its `transactionid` row without a pid has the
-- virtualtransaction of all its other rows.
SELECT gid, transaction, database, owner, prepared AS prepared_at
FROM pg_prepared_xacts
