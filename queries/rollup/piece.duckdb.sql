-- title: One piece of an access log, rolled up in whole, so that its lines can be counted
-- source: duckdb, the views of lines.duckdb.sql and of access_log_fields_flat.sql or access_log_fields_keys.sql; {rollup} is access_log.sql
-- columns: as access_log.sql
CREATE OR REPLACE TEMP TABLE piece AS
WITH asked AS (
    SELECT 0 AS first_second, 1099511627776 AS end_second
), fields AS (
    SELECT lines.text, variables.* EXCLUDE (line)
    FROM temp.fields AS variables
    LEFT JOIN lines ON lines.line = variables.line
), {rollup}
