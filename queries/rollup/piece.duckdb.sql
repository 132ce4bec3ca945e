-- title: One piece of a log, rolled up in whole, so that its lines can be counted
-- source: duckdb; {fields} is the log's own of fields.duckdb.sql, {rollup} access_log.sql or load_balancer.sql
-- columns: as {rollup}
CREATE OR REPLACE TEMP TABLE piece AS
WITH asked AS (
    SELECT 0 AS first_second, 1099511627776 AS end_second
), fields AS (
    {fields}
), {rollup}
