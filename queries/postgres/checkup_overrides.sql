-- title: Settings of a role or a database that go over those of the server
-- source: postgres   min_version: 14   privilege: none
-- timeout: 500 ms
-- columns: role, database (both null where it holds for all), role_quoted, database_quoted, name, setting
SELECT
    r.rolname::text AS role,
    d.datname::text AS database,
    quote_ident(r.rolname) AS role_quoted,
    quote_ident(d.datname) AS database_quoted,
    split_part(entry, '=', 1) AS name,
    substr(entry, strpos(entry, '=') + 1) AS setting
FROM pg_db_role_setting AS s
CROSS JOIN LATERAL unnest(s.setconfig) AS entry
LEFT JOIN pg_roles AS r ON r.oid = s.setrole
LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
ORDER BY 1, 2, 5
