-- title: Names, kinds and sizes of relations of this database and of shared catalogs
-- source: postgres   min_version: 14   privilege: none
-- timeout: 500 ms
-- params: oids
-- columns: oid, schema, relation, kind, reltuples, is_shared
--
-- Reads catalogs only. A cast to regclass or pg_relation_size would open the relation and wait.
SELECT
    c.oid, n.nspname AS schema, c.relname AS relation, c.relkind::text AS kind, c.reltuples,
    c.relisshared AS is_shared
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = ANY (%(oids)s::oid[])
