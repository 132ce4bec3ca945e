SET lock_timeout = '5s';
ALTER TABLE orders
    ADD CONSTRAINT orders_customer_fkey FOREIGN KEY (customer_id) REFERENCES customers (id)
    NOT VALID;
ALTER TABLE orders VALIDATE CONSTRAINT orders_customer_fkey;
