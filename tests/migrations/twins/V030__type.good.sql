SET lock_timeout = '5s';
ALTER TABLE orders ADD COLUMN quantity_new bigint;
