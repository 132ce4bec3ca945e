SET lock_timeout = '5s';
CREATE FUNCTION add_index() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CREATE INDEX orders_quantity_idx ON orders (quantity);
END
$$;
SELECT add_index();
