SET lock_timeout = '5s';
CREATE DOMAIN filled AS text CHECK (value <> '');
ALTER TABLE orders ADD COLUMN note filled;
