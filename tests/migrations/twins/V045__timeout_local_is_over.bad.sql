BEGIN;
SET LOCAL lock_timeout = '5s';
COMMIT;
ALTER TABLE orders ADD COLUMN note text;
