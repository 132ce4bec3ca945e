SET lock_timeout = '5s';
-- incident-rca: ignore index-without-concurrently because it runs in the maintenance window
CREATE INDEX orders_created_idx ON orders (created_at);
