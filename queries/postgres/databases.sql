-- title: Names of databases
-- source: postgres   min_version: 14   privilege: none
-- timeout: 500 ms
-- params: oids
-- columns: oid, database
SELECT oid, datname AS database
FROM pg_database
WHERE oid = ANY (%(oids)s::oid[])
