-- title: The lines of an access log that are no JSON and may tell of a failed request
-- source: duckdb, the view of access_log_fields_flat.sql or access_log_fields_keys.sql
-- columns: text
SELECT text
FROM fields
WHERE try_cast(text AS JSON) IS NULL AND regexp_matches(text, '^\s*\{.*[^0-9]5[0-9][0-9][^0-9]')
LIMIT 5000;
