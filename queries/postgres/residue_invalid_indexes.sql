-- title: Indexes that a build left invalid, or that it has not finished
-- source: postgres   min_version: 14   privilege: pg_read_all_stats (to see that one is being built)
-- timeout: 500 ms
-- columns: schema, table, index, definition, is_valid, is_ready, is_being_built
-- The definition is put together from the catalogs: pg_get_indexdef() and pg_get_expr() open the
-- table and wait behind ACCESS EXCLUSIVE (measured on 16 and 18). So an expression stays unsaid.
SELECT
    n.nspname AS schema,
    t.relname AS table,
    c.relname AS index,
    format(
        'CREATE %sINDEX %I ON %I.%I USING %I (%s)%s',
        CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END,
        c.relname, n.nspname, t.relname, m.amname, k.keys,
        CASE WHEN i.indpred IS NOT NULL THEN ' WHERE (expression)' ELSE '' END
    ) AS definition,
    i.indisvalid AS is_valid,
    i.indisready AS is_ready,
    EXISTS (
        SELECT FROM pg_catalog.pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid
    ) AS is_being_built
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
JOIN pg_catalog.pg_am m ON m.oid = c.relam
CROSS JOIN LATERAL (
    SELECT string_agg(coalesce(quote_ident(a.attname), '(expression)'), ', ' ORDER BY key.place)
        AS keys
    FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS key (attnum, place)
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = key.attnum
    WHERE key.place <= i.indnkeyatts
) k
WHERE NOT i.indisvalid OR NOT i.indisready
ORDER BY n.nspname, t.relname, c.relname
