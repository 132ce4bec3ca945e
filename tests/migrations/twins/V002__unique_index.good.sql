CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS orders_reference_idx
    ON orders USING btree (reference) INCLUDE (status) WHERE status <> 'gone';
