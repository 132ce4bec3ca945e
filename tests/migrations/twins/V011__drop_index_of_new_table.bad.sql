SET lock_timeout = '5s';
DROP INDEX IF EXISTS orders_status_idx;
