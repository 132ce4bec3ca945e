-- title: Writes the query that reads pg_stat_statements here, in the names of its version
-- source: postgres (extension pg_stat_statements)   min_version: 14   privilege: none
-- timeout: 500 ms
-- columns: query (no row where the extension is not installed in this database)
-- Version 1.8 named max_time and mean_time max_exec_time and mean_exec_time; 1.11 has stats_since.
-- Of each kind the 20 longest: DDL that takes locks (never CREATE ROLE, which has a password), and
-- writes. A comment may stand before the first word.
SELECT format(
    $query$
SELECT kind, queryid::text AS queryid, query, calls, max_ms, mean_ms, %1$s AS counted_since
FROM (
    SELECT *, row_number() OVER (PARTITION BY kind ORDER BY max_ms DESC, queryid) AS place
    FROM (
        SELECT *, %2$I AS max_ms, %3$I AS mean_ms,
            CASE
                WHEN query ~* '^\s*(/\*.*?\*/\s*)*(create\s+(unique\s+)?index|create\s+(or\s+replace\s+)?(constraint\s+)?trigger|alter\s+(table|index)|drop\s+(table|index)|truncate|reindex|cluster|vacuum|refresh\s+materialized|lock)\M'
                    THEN 'ddl'
                WHEN query ~* '^\s*(/\*.*?\*/\s*)*(insert|update|delete|merge)\M' THEN 'write'
            END AS kind
        FROM %4$I.pg_stat_statements
        WHERE dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    ) known
    WHERE kind IS NOT NULL
) ranked
WHERE place <= 20
ORDER BY kind, place
$query$,
    CASE WHEN 'stats_since' = ANY (v.columns) THEN 'stats_since' ELSE 'NULL::timestamptz' END,
    CASE WHEN 'max_exec_time' = ANY (v.columns) THEN 'max_exec_time' ELSE 'max_time' END,
    CASE WHEN 'mean_exec_time' = ANY (v.columns) THEN 'mean_exec_time' ELSE 'mean_time' END,
    v.schema
) AS query
FROM (
    SELECT n.nspname AS schema, array_agg(a.attname::text) AS columns
    FROM pg_catalog.pg_extension e
    JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = 'pg_stat_statements'
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    WHERE e.extname = 'pg_stat_statements'
    GROUP BY n.nspname
) v
