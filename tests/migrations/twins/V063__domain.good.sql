SET lock_timeout = '5s';
ALTER TABLE orders ADD COLUMN note text;
ALTER TABLE orders ADD CONSTRAINT orders_note_check CHECK (note <> '') NOT VALID;
ALTER TABLE orders VALIDATE CONSTRAINT orders_note_check;
