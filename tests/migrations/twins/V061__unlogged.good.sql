SET lock_timeout = '5s';
ALTER TABLE orders SET (autovacuum_vacuum_scale_factor = 0.01);
