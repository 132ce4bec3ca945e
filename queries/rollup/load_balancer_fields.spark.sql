-- title: Each line of a load balancer's log, in Spark
-- source: Spark 4, the view `lines` of the text source
-- columns: text
SELECT value AS text FROM lines
