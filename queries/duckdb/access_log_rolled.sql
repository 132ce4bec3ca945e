-- title: The pieces of an access log, rolled up, and their latencies: one pair of tables for all pieces
-- source: duckdb, where the pieces of access_log_piece.sql are kept
-- columns: of rolled: epoch, method, route, status, error_type, line, requests, line_first, line_last, first_at, last_at, has_milliseconds, request_id, logged_ids, trace_id, latency_ms, integration_status, message; of latencies: line_first, buckets
--
-- No two rows of `rolled` have the same first line, so it says whose the latencies are.
CREATE TABLE rolled (
    epoch BIGINT, method VARCHAR, route VARCHAR, status INTEGER, error_type VARCHAR, line BIGINT,
    requests BIGINT, line_first BIGINT, line_last BIGINT, first_at TIMESTAMPTZ, last_at TIMESTAMPTZ,
    has_milliseconds BOOLEAN, request_id VARCHAR, logged_ids VARCHAR, trace_id VARCHAR,
    latency_ms DOUBLE, integration_status VARCHAR, message VARCHAR
);
CREATE TABLE latencies (line_first BIGINT, buckets STRUCT(bound INTEGER, requests INTEGER)[]);
