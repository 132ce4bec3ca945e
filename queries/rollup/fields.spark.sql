-- title: The variables of each line of an access log, in Spark
-- source: Spark 4, the view `lines` of the text source; {columns} is filled in from the log's format
-- columns: text, then as queries/duckdb/access_log_fields_flat.sql
--
-- A line is JSON as a whole or not at all: get_json_object would read a torn one up to its tear, and
-- parse_json the first of two objects that stand in one line. Where a key stands twice its first value
-- counts, as in DuckDB: parse_json takes the last or, as Spark is set here, none of such a line, so it
-- is read by get_json_object, which on its own would take quotes of `'` and bare control characters too.
SELECT
  text,
  {columns}
FROM (
  SELECT
    text,
    is_joined,
    document,
    CASE
      WHEN is_whole AND document IS NULL AND NOT text RLIKE '[\\x00-\\x1f]|[{,:\\[] *\'' THEN get_json_object(text, '$')
    END AS doubled
  FROM (
    SELECT
      text,
      is_joined,
      is_whole,
      CASE WHEN is_whole THEN try_parse_json(text) END AS document
    FROM (
      SELECT
        value AS text,
        value RLIKE '[}][^!-~]*[{][^!-~]*"' AS is_joined,
        value RLIKE '[}][^!-~]*$' AND NOT value RLIKE '[}][^!-~]*[{][^!-~]*"' AS is_whole
      FROM lines
    )
  )
)
