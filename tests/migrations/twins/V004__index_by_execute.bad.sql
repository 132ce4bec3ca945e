SET lock_timeout = '5s';
DO $body$
BEGIN
    EXECUTE 'CREATE INDEX orders_quantity_idx ON orders (quantity)';
END
$body$;
