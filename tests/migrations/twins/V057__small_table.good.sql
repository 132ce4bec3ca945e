SET lock_timeout = '5s';
CREATE INDEX regions_name_idx ON regions (name);
