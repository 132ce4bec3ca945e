SET lock_timeout = '5s';
DO $$
BEGIN
    IF true THEN
        CREATE INDEX orders_quantity_idx ON orders (quantity);
    END IF;
END
$$;
