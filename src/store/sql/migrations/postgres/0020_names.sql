-- The form by which names are compared, made by the program. It is unique; the spelling itself is only shown. Sessions have no name.

ALTER TABLE keyward_role ADD COLUMN name_key TEXT COLLATE "C";

CREATE UNIQUE INDEX keyward_role_comparable ON keyward_role (name_key);

ALTER TABLE keyward_token ADD COLUMN name_key TEXT COLLATE "C";

DROP INDEX keyward_token_name;

CREATE UNIQUE INDEX keyward_token_comparable ON keyward_token (name_key) WHERE kind <> 'session';
