-- title: Domains with a constraint: a column of such a type is checked row by row when it is added
-- source: postgres   min_version: 14   privilege: none
-- timeout: 60 s
-- columns: schema, name
-- The constraints of a domain hold for the domains that are made of it too.
WITH RECURSIVE constrained AS (
    SELECT t.oid
    FROM pg_catalog.pg_type t
    WHERE t.typtype = 'd' AND (
        t.typnotnull
        OR EXISTS (
            SELECT FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'
        )
    )
    UNION
    SELECT t.oid
    FROM pg_catalog.pg_type t
    JOIN constrained c ON c.oid = t.typbasetype AND t.typtype = 'd'
)
SELECT n.nspname AS schema, t.typname AS name
FROM constrained c
JOIN pg_catalog.pg_type t ON t.oid = c.oid
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY n.nspname, t.typname
