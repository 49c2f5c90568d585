-- The form by which names are compared, made by the program. It is unique; the spelling itself is only shown. Sessions have no name.

ALTER TABLE keyward_role ADD COLUMN name_key TEXT COLLATE "C";

CREATE UNIQUE INDEX keyward_role_comparable ON keyward_role (name_key);

ALTER TABLE keyward_token ADD COLUMN name_key TEXT COLLATE "C";

DROP INDEX keyward_token_name;

CREATE UNIQUE INDEX keyward_token_comparable ON keyward_token (name_key) WHERE kind <> 'session';

-- Records this migration. The program does the same by itself, by its own means.
UPDATE keyward_role SET name_key = 'super admin'
WHERE code = 'strapi-super-admin' AND name = 'Super Admin' AND name_key IS NULL;

INSERT INTO keyward_migrations (version, description, success, checksum, execution_time) VALUES (
    20, 'names', TRUE,
    decode('473aa1bd4c03320500b63f1bf131725b18e454ae784041fe40a4e007fcfc60d122eca4f4b01c4336fbb04f919ab621f9', 'hex'),
    0
);
