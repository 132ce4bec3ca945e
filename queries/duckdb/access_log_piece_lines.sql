-- title: How many lines a piece of an access log gave, how many could not be read, and which first
-- source: duckdb, the table of access_log_piece.sql
-- columns: lines, unread, suspects
SELECT
    coalesce(sum(requests), 0)::BIGINT AS lines,
    coalesce(sum(requests) FILTER (WHERE NOT is_parsed), 0)::BIGINT AS unread,
    coalesce(any_value(suspects) FILTER (WHERE NOT is_parsed), []) AS suspects
FROM piece;
