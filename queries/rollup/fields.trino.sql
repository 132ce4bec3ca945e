-- title: The variables of each line of an access log, in Athena
-- source: Athena (Trino) over the table of table.athena.sql; {columns} is filled in from the log's format
-- columns: text, then as queries/duckdb/access_log_fields_flat.sql
--
-- A line is JSON as a whole or not at all: json_extract_scalar would read a torn one up to its tear.
-- Where a key stands twice it takes the first value. Two objects in one line are no request.
SELECT
  text,
  {columns}
FROM (
  SELECT
    line AS text,
    TRY(json_parse(line)) IS NOT NULL AS is_json,
    regexp_like(line, '[}][^!-~]*[{][^!-~]*"') AS is_joined
  FROM {table}
  WHERE {partitions}
)
