-- title: Who we are, and what this role may see
-- source: postgres   min_version: 14   privilege: none
-- timeout: 500 ms
-- columns: role, role_quoted, is_superuser, reads_all_stats (has the privileges of pg_read_all_stats),
--   member_without_inherit (is a member, but does not inherit), uses_reserved (pg_use_reserved_connections, 16+)
SELECT
    current_user::text AS role,
    quote_ident(current_user) AS role_quoted,
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_superuser,
    pg_has_role('pg_read_all_stats', 'USAGE') AS reads_all_stats,
    pg_has_role('pg_read_all_stats', 'MEMBER')
        AND NOT pg_has_role('pg_read_all_stats', 'USAGE') AS member_without_inherit,
    EXISTS (
        SELECT FROM pg_roles
        WHERE rolname = 'pg_use_reserved_connections' AND pg_has_role(oid, 'USAGE')
    ) AS uses_reserved
