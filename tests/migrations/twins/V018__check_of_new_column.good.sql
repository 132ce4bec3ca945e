SET lock_timeout = '5s';
ALTER TABLE orders ADD COLUMN weight int DEFAULT 1;
ALTER TABLE orders ADD CONSTRAINT orders_weight_check CHECK (weight > 0) NOT VALID;
ALTER TABLE orders VALIDATE CONSTRAINT orders_weight_check;
