BEGIN;
COMMENT ON COLUMN orders.created_at IS 'when it was placed';
COMMIT;
CREATE INDEX CONCURRENTLY orders_created_idx ON orders (created_at);
