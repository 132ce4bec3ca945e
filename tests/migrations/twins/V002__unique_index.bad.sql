SET lock_timeout = '5s';
CREATE UNIQUE INDEX IF NOT EXISTS orders_reference_idx
    ON orders USING btree (reference) INCLUDE (status) WHERE status <> 'gone';
