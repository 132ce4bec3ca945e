CREATE TABLE drafts (id bigint);
ALTER TABLE drafts RENAME TO sketches;
CREATE INDEX sketches_id_idx ON sketches (id);
