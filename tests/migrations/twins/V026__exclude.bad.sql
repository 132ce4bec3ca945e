SET lock_timeout = '5s';
ALTER TABLE orders ADD CONSTRAINT no_overlap
    EXCLUDE USING gist (int8range(id, id, '[]') WITH &&);
