-- title: Each line of a piece of a load balancer's log, in DuckDB
-- source: duckdb, the view of lines.duckdb.sql
-- columns: text
SELECT text FROM lines
