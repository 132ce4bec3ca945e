SET lock_timeout = '5s';
ALTER TABLE orders ALTER COLUMN status TYPE varchar(40);
