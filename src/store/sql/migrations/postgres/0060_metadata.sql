-- JSON objects that tokens carry for the host, as compact text.

ALTER TABLE keyward_token ADD COLUMN metadata TEXT COLLATE "C";

-- Records this migration. The program does the same by itself, by its own means.
INSERT INTO keyward_migrations (version, description, success, checksum, execution_time) VALUES (
    60, 'metadata', TRUE,
    decode('32319882febff94ec39b6417cfb09a06409fa8d6be40e7037f1e1c309cba7b10f53acf9ba03a4d0e044b8968c0245cfc', 'hex'),
    0
);
