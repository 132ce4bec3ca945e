DO $body$
BEGIN
    EXECUTE 'CREATE TABLE notes (id bigint, body text)';
    CREATE INDEX notes_id_idx ON notes (id);
END
$body$;
