SET lock_timeout = '5s';
CREATE TABLE lines (order_id bigint REFERENCES orders (id), amount int);
