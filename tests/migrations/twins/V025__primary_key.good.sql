CREATE UNIQUE INDEX CONCURRENTLY orders_pkey2 ON orders (id);
SET lock_timeout = '5s';
ALTER TABLE orders DROP CONSTRAINT orders_pkey,
    ADD CONSTRAINT orders_pkey PRIMARY KEY USING INDEX orders_pkey2;
