-- title: Each line of a load balancer's log, in Athena
-- source: Athena (Trino) over the table of table.athena.sql
-- columns: text
SELECT line AS text FROM {table} WHERE {partitions}
