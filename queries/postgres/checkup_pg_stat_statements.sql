-- title: Since when pg_stat_statements adds up
-- source: postgres   min_version: 14   privilege: SELECT on pg_stat_statements_info
-- timeout: 500 ms
-- columns: stats_reset
SELECT stats_reset FROM pg_stat_statements_info
