CREATE TABLE spans (span int8range, EXCLUDE USING gist (span WITH &&));
