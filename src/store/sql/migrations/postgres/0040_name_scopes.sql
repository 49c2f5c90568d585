-- The tokens among which a name is unique, made by the program: 0 all, -1 those without an owner, otherwise those of the owner with this id.

ALTER TABLE keyward_token ADD COLUMN name_scope BIGINT NOT NULL DEFAULT 0;

DROP INDEX keyward_token_comparable;

CREATE UNIQUE INDEX keyward_token_name_in_scope ON keyward_token (name_key, name_scope) WHERE kind <> 'session';
