-- title: How large each table is, its partitions summed, and what it has been written and read
-- source: postgres   min_version: 14   privilege: none
-- timeout: 60 s
-- columns: schema, name, kind, rows, bytes, analyzed_at, writes, scans, partitions, is_nested, indexes, columns, not_null, checks, watched, partition_key, default_partition
--
-- Reads catalogs and statistics only: a size function would open the table and wait for its lock, so
-- bytes are pages as VACUUM or ANALYZE last counted them, those of long values (TOAST) among them,
-- which only VACUUM counts. rows is null where one of the leaves was
-- never counted: -1 in reltuples means unknown, never small. The statistics (n_live_tup, nothing on a
-- replica) know what was written since, so the larger of both counts.
WITH RECURSIVE tree AS (
    SELECT c.oid AS root, c.oid AS leaf, 0 AS depth
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm')
        AND n.nspname NOT IN ('pg_catalog', 'information_schema')
        AND n.nspname NOT LIKE 'pg\_%'
    UNION ALL
    SELECT t.root, i.inhrelid, t.depth + 1
    FROM tree t
    JOIN pg_catalog.pg_class p ON p.oid = t.leaf AND p.relkind = 'p'
    JOIN pg_catalog.pg_inherits i ON i.inhparent = t.leaf
),
leaves AS (
    SELECT
        t.root,
        t.depth,
        ARRAY[n.nspname::text, c.relname::text] AS named,
        CASE
            WHEN c.reltuples >= 0 OR s.n_live_tup > 0 THEN greatest(c.reltuples, s.n_live_tup)
        END AS rows,
        c.relpages + coalesce(l.relpages, 0) AS pages,
        greatest(s.last_analyze, s.last_autoanalyze) AS analyzed_at,
        s.n_tup_ins + s.n_tup_upd + s.n_tup_del AS writes,
        s.seq_scan + coalesce(s.idx_scan, 0) AS scans
    FROM tree t
    JOIN pg_catalog.pg_class c ON c.oid = t.leaf AND c.relkind <> 'p'
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_class l ON l.oid = c.reltoastrelid
    LEFT JOIN pg_catalog.pg_stat_all_tables s ON s.relid = c.oid
),
summed AS (
    SELECT
        root,
        CASE WHEN bool_and(rows IS NOT NULL) THEN sum(rows)::bigint END AS rows,
        sum(pages)::bigint AS pages,
        CASE WHEN bool_and(analyzed_at IS NOT NULL) THEN min(analyzed_at) END AS analyzed_at,
        sum(writes)::bigint AS writes,
        sum(scans)::bigint AS scans,
        array_agg(named ORDER BY named) FILTER (WHERE depth > 0) AS partitions,
        coalesce(max(depth), 0) > 1 AS is_nested
    FROM leaves
    GROUP BY root
)
SELECT
    n.nspname AS schema,
    c.relname AS name,
    CASE c.relkind
        WHEN 'p' THEN 'partitioned table' WHEN 'm' THEN 'materialized view' ELSE 'table'
    END AS kind,
    -- A partitioned table without any partition has no rows.
    CASE WHEN u.root IS NULL THEN 0 ELSE u.rows END AS rows,
    coalesce(u.pages, 0) * current_setting('block_size')::bigint AS bytes,
    to_char(u.analyzed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS analyzed_at,
    coalesce(u.writes, 0) AS writes,
    coalesce(u.scans, 0) AS scans,
    coalesce(u.partitions, ARRAY[]::text[]) AS partitions,
    coalesce(u.is_nested, false) AS is_nested,
    ARRAY(
        SELECT x.relname::text
        FROM pg_catalog.pg_index i
        JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = c.oid
        ORDER BY x.relname
    ) AS indexes,
    ARRAY(
        SELECT ARRAY[a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod)]
        FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum
    ) AS columns,
    -- By NOT NULL, which may not be valid yet (PostgreSQL 18), or by a CHECK that says just this.
    ARRAY(
        SELECT ARRAY[a.attname::text, '']
        FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attnotnull AND NOT a.attisdropped
            AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_constraint k
                WHERE k.conrelid = c.oid AND k.contype = 'n' AND NOT k.convalidated
                    AND k.conkey = ARRAY[a.attnum]
            )
        UNION ALL
        SELECT ARRAY[a.attname::text, k.conname::text]
        FROM pg_catalog.pg_constraint k
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1]
        WHERE k.conrelid = c.oid AND k.contype = 'c' AND k.convalidated
            AND pg_catalog.cardinality(k.conkey) = 1
            AND k.conbin::text LIKE '{NULLTEST :arg {VAR %} :nulltesttype 1 %'
        ORDER BY 1
    ) AS not_null,
    ARRAY(
        SELECT k.conname::text FROM pg_catalog.pg_constraint k
        WHERE k.conrelid = c.oid AND k.contype = 'c' AND k.convalidated
        ORDER BY k.conname
    ) AS checks,
    ARRAY(
        SELECT a.attname::text
        FROM (
            SELECT pg_catalog.unnest(k.conkey) AS attnum
            FROM pg_catalog.pg_constraint k
            WHERE k.conrelid = c.oid AND k.contype = 'c' AND k.convalidated
            UNION
            SELECT d.refobjsubid
            FROM pg_catalog.pg_index i
            JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::regclass
                AND d.objid = i.indexrelid AND d.refclassid = 'pg_catalog.pg_class'::regclass
                AND d.refobjid = c.oid
            WHERE i.indrelid = c.oid AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
        ) w
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = w.attnum
        ORDER BY a.attname
    ) AS watched,
    ARRAY(
        SELECT coalesce(a.attname::text, '')
        FROM pg_catalog.pg_partitioned_table p
        CROSS JOIN LATERAL pg_catalog.unnest(p.partattrs::int2[]) WITH ORDINALITY AS k (attnum, nr)
        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum AND k.attnum > 0
        WHERE p.partrelid = c.oid
        ORDER BY k.nr
    ) AS partition_key,
    ARRAY(
        SELECT unnested.part
        FROM pg_catalog.pg_partitioned_table p
        JOIN pg_catalog.pg_class x ON x.oid = p.partdefid
        JOIN pg_catalog.pg_namespace s ON s.oid = x.relnamespace
        CROSS JOIN LATERAL pg_catalog.unnest(ARRAY[s.nspname::text, x.relname::text])
            WITH ORDINALITY AS unnested (part, nr)
        WHERE p.partrelid = c.oid
        ORDER BY unnested.nr
    ) AS default_partition
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN summed u ON u.root = c.oid
WHERE c.oid IN (SELECT root FROM tree)
ORDER BY n.nspname, c.relname
