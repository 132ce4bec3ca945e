DO $$ BEGIN CREATE INDEX CONCURRENTLY a ON orders (created_at); END $$;
