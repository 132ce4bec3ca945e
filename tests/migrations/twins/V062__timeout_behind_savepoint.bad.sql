BEGIN;
SAVEPOINT a;
SET lock_timeout = '5s';
ROLLBACK TO a;
ALTER TABLE orders ADD COLUMN note text;
COMMIT;
