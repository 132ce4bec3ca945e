-- title: Who the server thinks is talking to it: not us, where a pooler or proxy stands in between
-- source: postgres   min_version: 14   privilege: none
-- timeout: 500 ms
-- columns: backend_pid, client_port (-1 for a Unix socket), server_address, server_port (null for one)
SELECT
    pg_backend_pid() AS backend_pid,
    (SELECT client_port FROM pg_stat_activity WHERE pid = pg_backend_pid()) AS client_port,
    host(inet_server_addr()) AS server_address,
    inet_server_port() AS server_port
