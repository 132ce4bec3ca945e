CREATE TABLE order_notes (order_id bigint, body text);
CREATE INDEX order_notes_order_idx ON order_notes (order_id);
