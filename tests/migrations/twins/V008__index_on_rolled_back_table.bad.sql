SET lock_timeout = '5s';
BEGIN;
DROP TABLE orders CASCADE;
CREATE TABLE orders (id bigint, created_at timestamptz);
ROLLBACK;
CREATE INDEX orders_created_idx ON orders (created_at);
