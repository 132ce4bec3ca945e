-- title: The window of a rollup, as access_log.sql reads it
-- source: duckdb; SET VARIABLE first_second and end_second are seconds since 1970
-- columns: first_second, end_second
CREATE OR REPLACE TEMP VIEW asked AS
SELECT getvariable('first_second') AS first_second, getvariable('end_second') AS end_second;
