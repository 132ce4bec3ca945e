SET lock_timeout = '5s';
ALTER TABLE orders CLUSTER ON orders_pkey;
