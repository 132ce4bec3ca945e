-- title: The rollups of all pieces: one table for them
-- source: duckdb, where the pieces of piece.duckdb.sql are kept
-- columns: as access_log.sql
CREATE OR REPLACE TABLE pieces (
    kind VARCHAR, second BIGINT, method VARCHAR, route VARCHAR, status BIGINT, response_type VARCHAR,
    integration_status VARCHAR, backend_status VARCHAR, error_text VARCHAR, authorizer_error VARCHAR,
    waf VARCHAR, latency_bucket BIGINT, requests BIGINT
);
