-- title: The rollups of all pieces: one table for them
-- source: duckdb, where the pieces of piece.duckdb.sql are kept; {columns} is filled in, numbers as BIGINT
-- columns: as access_log.sql or load_balancer.sql
CREATE OR REPLACE TABLE pieces ({columns});
