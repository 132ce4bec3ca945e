-- title: How many lines a piece of a log gave, and how many of them are no request
-- source: duckdb, the table of piece.duckdb.sql
-- columns: lines, unread
SELECT
    coalesce(sum(requests), 0)::BIGINT AS lines,
    coalesce(sum(requests) FILTER (WHERE kind <> 'request'), 0)::BIGINT AS unread
FROM piece;
