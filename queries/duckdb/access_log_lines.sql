-- title: The physical lines of an access log, numbered
-- source: duckdb over files of lines; SET VARIABLE raw_path is the list of them
-- columns: line, text
--
-- One physical line is one row, so row_number() is the line's number in the file, if it is one.
CREATE OR REPLACE TEMP VIEW lines AS
SELECT row_number() OVER () AS line, text
FROM read_csv(
    getvariable('raw_path'), columns = {'text': 'VARCHAR'}, delim = E'\x01\x02\x03\x04', quote = '',
    escape = '', header = false, auto_detect = false, max_line_size = 16777216,
    buffer_size = 33554432,
    strict_mode = false
);
