-- JSON objects that tokens carry for the host, as compact text.

ALTER TABLE keyward_token ADD COLUMN metadata TEXT;

-- Records this migration. The program does the same by itself, by its own means.
INSERT INTO keyward_migrations (version, description, success, checksum, execution_time) VALUES (
    60, 'metadata', TRUE,
    x'78db60cdb45d4252d55cb04fd6ded6a73ba935afc4d4bd2a3e9fe232ce9f5269e4603bdb817984fc7633d75da8d61a73',
    0
);
