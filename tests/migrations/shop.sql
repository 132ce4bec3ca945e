-- The tables that the examples of the rules and the twins change; a thousand rows where it matters.
CREATE TABLE customers (id bigint PRIMARY KEY, email text);
CREATE TABLE regions (name text);
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer_id bigint,
    quantity integer,
    status varchar(20),
    reference text,
    created_at timestamptz DEFAULT now()
);
CREATE INDEX orders_status_idx ON orders (status);
CREATE TABLE events (id bigint, kind text, customer_id bigint, at date NOT NULL)
    PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE events_2024 (LIKE events);
INSERT INTO customers SELECT i, 'c' || i FROM generate_series(1, 1000) i;
INSERT INTO orders SELECT i, i, 1, 'new', 'r' || i FROM generate_series(1, 1000) i;
INSERT INTO events SELECT i, 'k', i, date '2025-06-01' + (i % 400) FROM generate_series(1, 1000) i;
INSERT INTO events_2024
    SELECT i, 'k', i, date '2024-01-01' + (i % 300) FROM generate_series(1, 1000) i;
CREATE MATERIALIZED VIEW daily_orders AS
    SELECT created_at::date + id::int AS day, count(*) AS orders FROM orders GROUP BY 1;
CREATE UNIQUE INDEX daily_orders_day_key ON daily_orders (day);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION touch();
CREATE POLICY own ON customers;
CREATE RULE nothing AS ON DELETE TO customers DO ALSO NOTHING;
ANALYZE;
CREATE INDEX events_customer_idx ON ONLY events (customer_id);
CREATE INDEX events_2025_customer_idx ON events_2025 (customer_id);
CREATE INDEX events_2024_customer_idx ON events_2024 (customer_id);
