-- The form by which names are compared, made by the program. It is unique; the spelling itself is only shown. Sessions have no name.

ALTER TABLE keyward_role ADD COLUMN name_key TEXT;

CREATE UNIQUE INDEX keyward_role_comparable ON keyward_role (name_key);

ALTER TABLE keyward_token ADD COLUMN name_key TEXT;

DROP INDEX keyward_token_name;

CREATE UNIQUE INDEX keyward_token_comparable ON keyward_token (name_key) WHERE kind <> 'session';

-- Records this migration. The program does the same by itself, by its own means.
UPDATE keyward_role SET name_key = 'super admin'
WHERE code = 'strapi-super-admin' AND name = 'Super Admin' AND name_key IS NULL;

INSERT INTO keyward_migrations (version, description, success, checksum, execution_time) VALUES (
    20, 'names', TRUE,
    x'5aa1fe7c64b356857e1907f8be394e02ae52a371b0d0b15cf4111e359e48ccdb8e5445734718a2534d11aa27b81b06f2',
    0
);
