-- title: Prepared transactions that are still open, the oldest first: they hold their locks without a session
-- source: postgres   min_version: 14   privilege: none
-- timeout: 500 ms
-- columns: gid, gid_quoted, database, owner, age_seconds
SELECT
    gid,
    quote_literal(gid) AS gid_quoted,
    database::text AS database,
    owner::text AS owner,
    extract(epoch FROM clock_timestamp() - prepared)::float8 AS age_seconds
FROM pg_prepared_xacts
ORDER BY prepared
