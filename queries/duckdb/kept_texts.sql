-- title: A column of a kept table, each of its texts held once
-- source: duckdb, the view `kept_texts` of one column `text` and the type of kept_texts_type.sql
-- columns: text
SELECT CAST(text AS repeated_text) AS text FROM kept_texts;
