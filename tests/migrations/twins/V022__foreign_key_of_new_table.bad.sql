CREATE TABLE lines (order_id bigint REFERENCES orders (id), amount int);
