-- title: The type that holds each text of a column once, sorted by code points
-- source: duckdb, the view `kept_texts` of one column `text`
-- columns: one type, `repeated_text`
CREATE OR REPLACE TYPE repeated_text AS ENUM (
    SELECT DISTINCT text FROM kept_texts WHERE text IS NOT NULL ORDER BY text
);
