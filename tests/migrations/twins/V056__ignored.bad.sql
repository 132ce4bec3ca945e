SET lock_timeout = '5s';
-- incident-rca: ignore index-without-concurrently
CREATE INDEX orders_created_idx ON orders (created_at);
