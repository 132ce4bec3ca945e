-- title: Writes the query that reads each table in which a migration tool keeps what it ran
-- source: postgres   min_version: 14   privilege: none (the queries that it writes need SELECT)
-- timeout: 500 ms
-- columns: tool, relation, started_type, ended_type, query
-- Found by name and columns in any schema, from the catalogs alone. Two tools share the name
-- schema_migrations with Rails: golang-migrate has `dirty`, Ecto has `inserted_at`. The 200 newest rows
-- of a table.
WITH tool (tool, relname, needed, forbidden, name, started, ended, newest) AS (
    VALUES
        ('rails', 'schema_migrations', '{version}'::text[], '{dirty,inserted_at}'::text[],
            'version::text', NULL, NULL, 'version'),
        ('golang-migrate', 'schema_migrations', '{version,dirty}', '{}',
            $$version::text || CASE WHEN dirty THEN ' (failed: dirty)' ELSE '' END$$,
            NULL, NULL, 'version'),
        ('ecto', 'schema_migrations', '{version,inserted_at}', '{}',
            'version::text', NULL, 'inserted_at', 'version'),
        ('flyway', 'flyway_schema_history', '{installed_rank,description,installed_on}', '{}',
            $$concat_ws(' ', 'V' || version, description)$$, NULL, 'installed_on',
            'installed_rank'),
        ('alembic', 'alembic_version', '{version_num}', '{}',
            'version_num::text', NULL, NULL, 'version_num'),
        ('django', 'django_migrations', '{id,app,name,applied}', '{}',
            $$app || '.' || name$$, NULL, 'applied', 'id'),
        ('goose', 'goose_db_version', '{id,version_id,is_applied,tstamp}', '{}',
            $$version_id || CASE WHEN is_applied THEN '' ELSE ' (rolled back)' END$$,
            NULL, 'tstamp', 'id'),
        ('knex', 'knex_migrations', '{id,name,migration_time}', '{}',
            'name::text', NULL, 'migration_time', 'id'),
        ('prisma', '_prisma_migrations', '{migration_name,started_at,finished_at,rolled_back_at}',
            '{}',
            $$migration_name || CASE WHEN rolled_back_at IS NOT NULL THEN ' (rolled back)'
                WHEN finished_at IS NULL THEN ' (not finished)' ELSE '' END$$,
            'started_at', 'finished_at', 'started_at'),
        ('sequelize', 'SequelizeMeta', '{name}', '{}', 'name::text', NULL, NULL, 'name'),
        ('liquibase', 'databasechangelog', '{id,filename,dateexecuted,orderexecuted}', '{}',
            $$filename || ' ' || id$$, NULL, 'dateexecuted', 'orderexecuted'),
        ('entity-framework', '__EFMigrationsHistory', '{MigrationId}', '{}',
            '"MigrationId"::text', NULL, NULL, '"MigrationId"')
),
found AS (
    SELECT
        tool.*,
        format('%I.%I', n.nspname, c.relname) AS relation,
        s.type AS started_type,
        e.type AS ended_type
    FROM tool
    JOIN pg_catalog.pg_class c ON c.relname = tool.relname AND c.relkind IN ('r', 'p')
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (
        SELECT array_agg(a.attname::text) AS columns
        FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    ) has
    LEFT JOIN LATERAL (
        SELECT a.atttypid::regtype::text AS type
        FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attname = tool.started
    ) s ON true
    LEFT JOIN LATERAL (
        SELECT a.atttypid::regtype::text AS type
        FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attname = tool.ended
    ) e ON true
    WHERE has.columns @> tool.needed AND NOT has.columns && tool.forbidden
)
SELECT
    tool,
    relation,
    started_type,
    ended_type,
    format(
        'SELECT %s AS name, %s AS started, %s AS ended FROM %s ORDER BY %s DESC LIMIT 200',
        name,
        format(as_text.of_started, started),
        format(as_text.of_ended, ended),
        relation,
        newest
    ) AS query
FROM found
CROSS JOIN LATERAL (
    SELECT max(pattern) FILTER (WHERE side = 'started') AS of_started,
        max(pattern) FILTER (WHERE side = 'ended') AS of_ended
    FROM (VALUES ('started', started_type), ('ended', ended_type)) AS column_of (side, type)
    CROSS JOIN LATERAL (
        SELECT CASE type
            WHEN 'timestamp with time zone'
                THEN $$to_char(%I AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')$$
            WHEN 'timestamp without time zone' THEN $$to_char(%I, 'YYYY-MM-DD"T"HH24:MI:SS.US')$$
            ELSE 'NULL::text'
        END AS pattern
    ) written
) as_text
ORDER BY tool, relation
