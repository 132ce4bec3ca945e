SET lock_timeout = '5s';
ALTER TABLE orders ADD COLUMN slug text;
RESET lock_timeout;
CREATE UNIQUE INDEX CONCURRENTLY orders_slug_key ON orders (slug);
