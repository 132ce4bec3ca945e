-- title: Requests by second, route, status and type, over all pieces
-- source: duckdb, the tables of access_log_rolled.sql
-- columns: second, method, route, status, error_type, requests, line_first, line_last, parts
--
-- `parts` are the first lines of what was put together: a second may stand in several pieces, and a
-- failed request is a part of its own.
CREATE OR REPLACE TEMP TABLE gateway AS
SELECT
    to_timestamp(epoch) AS second, method, route, status, error_type,
    sum(requests)::BIGINT AS requests,
    min(line_first) AS line_first,
    max(line_last) AS line_last,
    list(line_first) AS parts
FROM rolled
GROUP BY epoch, method, route, status, error_type
ORDER BY epoch, method, route, status, error_type;
