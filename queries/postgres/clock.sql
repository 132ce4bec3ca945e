-- title: The server's clock
-- source: postgres   min_version: 14   privilege: none
-- timeout: 500 ms
-- columns: at
SELECT clock_timestamp() AS at
