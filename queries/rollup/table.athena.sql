-- title: The table of the lines of a log in S3, whatever the format of the lines is
-- source: Athena (Hive's DDL); {…} is filled in from the bucket's folders
-- columns: line, and stretch where the folders are of dates: the part of a key that says the date
--
-- One table for JSON, CLF, load balancers and every other log of lines: what reads a line is the
-- query. A table of columns would have to be made for each format, and loses lines: JsonSerDe fails
-- on keys that differ in case, or leaves malformed lines out. (?s): without it a line with U+2028 in it is null.
CREATE EXTERNAL TABLE IF NOT EXISTS {table} (line string)
{partitioned}ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.RegexSerDe'
WITH SERDEPROPERTIES ('input.regex' = '(?s)(.*)')
STORED AS INPUTFORMAT 'org.apache.hadoop.mapred.TextInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
LOCATION '{location}'{projected}
