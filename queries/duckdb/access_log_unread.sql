-- title: The lines of an access log that begin as JSON, gave no request, and may tell of a failed one
-- source: duckdb, the view of access_log_lines.sql and the table of access_log_requests.sql
-- columns: text
SELECT lines.text AS text
FROM lines
JOIN (SELECT line FROM requests WHERE NOT is_parsed AND NOT is_blank) AS unread USING (line)
WHERE regexp_matches(lines.text, '^\s*\{.*[^0-9]5[0-9][0-9][^0-9]')
ORDER BY line
LIMIT 5000;
