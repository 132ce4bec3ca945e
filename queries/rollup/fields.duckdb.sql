-- title: The variables of each line of a piece of an access log, in DuckDB
-- source: duckdb, the views of lines.duckdb.sql and of access_log_fields_flat.sql or access_log_fields_keys.sql
-- columns: text, then as queries/duckdb/access_log_fields_flat.sql
SELECT lines.text, variables.* EXCLUDE (line)
FROM temp.fields AS variables
LEFT JOIN lines ON lines.line = variables.line
