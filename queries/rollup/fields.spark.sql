-- title: The variables of each line of an access log, in Spark
-- source: Spark 4, the view `lines` of the text source; {columns} is filled in from the log's format
-- columns: text, then as queries/duckdb/access_log_fields_flat.sql
--
-- A line is JSON as a whole or not at all: get_json_object would read a torn one up to its tear, and
-- parse_json the first of two objects that stand in one line.
SELECT
  text,
  {columns}
FROM (
  SELECT
    value AS text,
    CASE
      WHEN value RLIKE '[}][^!-~]*$' AND NOT value RLIKE '[}][^!-~]*[{][^!-~]*"' THEN try_parse_json(value)
    END AS document
  FROM lines
)
