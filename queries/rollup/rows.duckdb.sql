-- title: The rows of a rollup that was made, in order
-- source: duckdb, the table `rollup` of access_log.sql
-- columns: as access_log.sql
SELECT * FROM rollup ORDER BY ALL;
