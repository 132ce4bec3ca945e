SET lock_timeout = '5s';
CREATE SCHEMA archive;
CREATE TABLE archive.orders (id bigint, created_at timestamptz);
CREATE INDEX orders_created_idx ON orders (created_at);
