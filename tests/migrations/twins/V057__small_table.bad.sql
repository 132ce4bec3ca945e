SET lock_timeout = '5s';
CREATE INDEX customers_email_idx ON customers (email);
