-- title: Where the view of the extension pgsentinel stands, if it is installed here
-- source: postgres   min_version: 14   privilege: none
-- timeout: 500 ms
-- columns: view (quoted where it must be)
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS view
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = 'pg_active_session_history'
  AND c.relkind IN ('v', 'm', 'r')
  AND (
      SELECT count(*)
      FROM pg_catalog.pg_attribute a
      WHERE a.attrelid = c.oid
        AND a.attname IN ('ash_time', 'pid', 'wait_event_type', 'wait_event', 'blockerpid')
  ) = 5
ORDER BY view
LIMIT 1
