-- title: The files of the server's own log
-- source: postgres   min_version: 14   privilege: pg_monitor
-- timeout: 500 ms
-- columns: name, modification
SELECT name, modification FROM pg_ls_logdir() ORDER BY modification
