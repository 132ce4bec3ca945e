-- title: The physical lines of a piece of a log, numbered as its fields are
-- source: duckdb over lines none of which is blank; SET VARIABLE raw_path names the file, first_line the number of its first line
-- columns: line, text
CREATE OR REPLACE TEMP VIEW lines AS
SELECT getvariable('first_line')::BIGINT - 1 + row_number() OVER () AS line, text
FROM read_csv(
    getvariable('raw_path'), columns = {'text': 'VARCHAR'}, delim = E'\x01\x02\x03\x04', quote = '',
    escape = '', header = false, auto_detect = false, max_line_size = 16777216,
    buffer_size = 33554432,
    strict_mode = false
);
