-- The tokens among which a name is unique, made by the program: 0 all, -1 those without an owner, otherwise those of the owner with this id.

ALTER TABLE keyward_token ADD COLUMN name_scope BIGINT NOT NULL DEFAULT 0;

DROP INDEX keyward_token_comparable;

CREATE UNIQUE INDEX keyward_token_name_in_scope ON keyward_token (name_key, name_scope) WHERE kind <> 'session';

-- Records this migration. The program does the same by itself, by its own means.
INSERT INTO keyward_migrations (version, description, success, checksum, execution_time) VALUES (
    40, 'name_scopes', TRUE,
    x'695a5a0b23ae358000dd26125ab17cf859431740e6aab28b46e58d3cf1b6dbc34526baefd6c21c324472382f41b8ab0a',
    0
);
