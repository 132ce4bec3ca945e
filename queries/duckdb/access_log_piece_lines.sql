-- title: How many lines a piece of an access log gave, and the numbers of those that could not be read
-- source: duckdb, the table of access_log_piece.sql
-- columns: lines, unread
SELECT
    coalesce(sum(requests), 0)::BIGINT AS lines,
    coalesce(list(line ORDER BY line) FILTER (WHERE NOT is_parsed), []) AS unread
FROM piece;
