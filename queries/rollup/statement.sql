-- title: The rollup as one statement
-- source: Spark 4 or Athena; {…} is filled in: the window, the lines' fields, and access_log.DIALECT.sql or load_balancer.DIALECT.sql
-- columns: as access_log.sql or load_balancer.sql
WITH asked AS (
  SELECT {first_second} AS first_second, {end_second} AS end_second
), fields AS (
{fields}
), {rollup}
