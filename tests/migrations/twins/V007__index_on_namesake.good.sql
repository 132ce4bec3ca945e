CREATE SCHEMA archive;
CREATE TABLE archive.orders (id bigint, created_at timestamptz);
CREATE INDEX orders_created_idx ON archive.orders (created_at);
