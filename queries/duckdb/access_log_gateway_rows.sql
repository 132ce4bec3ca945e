-- title: The requests of access_log_gateway.sql without what they were put together from
-- source: duckdb, the table of access_log_gateway.sql
-- columns: second, method, route, status, error_type, requests, line_first, line_last
SELECT * EXCLUDE (parts) FROM gateway ORDER BY rowid;
