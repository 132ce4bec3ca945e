SET lock_timeout = '5s';
ALTER TABLE orders RENAME TO purchases;
CREATE INDEX purchases_created_idx ON purchases (created_at);
