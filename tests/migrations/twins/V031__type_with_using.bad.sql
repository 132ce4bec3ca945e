SET lock_timeout = '5s';
ALTER TABLE orders ALTER COLUMN reference TYPE text USING upper(reference);
