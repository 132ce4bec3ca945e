BEGIN;
CREATE TABLE orders_new (id bigint, created_at timestamptz);
COMMIT;
CREATE INDEX orders_new_created_idx ON orders_new (created_at);
