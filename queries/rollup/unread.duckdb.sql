-- title: The numbers of the lines of a piece of an access log that are no JSON
-- source: duckdb, the view of lines.duckdb.sql
-- columns: line
SELECT line FROM lines WHERE try_cast(text AS JSON) IS NULL ORDER BY line;
