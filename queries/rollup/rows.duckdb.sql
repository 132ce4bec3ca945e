-- title: The rows of a rollup whose pieces were kept, in order
-- source: duckdb, the table of pieces.duckdb.sql
-- columns: as access_log.sql or load_balancer.sql
--
-- Where all that could not be read were blank lines, none is left.
SELECT * REPLACE (sum(requests)::BIGINT AS requests)
FROM pieces
GROUP BY ALL
HAVING sum(requests) > 0
ORDER BY ALL;
