-- title: Adds what was asked for of a piece of a log to that of the others
-- source: duckdb, the tables of piece.duckdb.sql and pieces.duckdb.sql; SET VARIABLE first_second and end_second are seconds since 1970, blank_lines is how many of the unread lines are blank
-- columns: none
INSERT INTO pieces BY NAME
SELECT * REPLACE (
    requests - CASE WHEN kind = 'unread' THEN getvariable('blank_lines') ELSE 0 END AS requests
)
FROM piece
WHERE kind <> 'request'
    OR (second >= getvariable('first_second') AND second < getvariable('end_second'));
