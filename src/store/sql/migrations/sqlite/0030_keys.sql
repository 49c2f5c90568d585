-- Which keys the data rests on: a check value of each, made by the program. It tells one key from another, and does not tell the key.

CREATE TABLE keyward_key (
    kind TEXT NOT NULL, -- hash, strapi-hash, encryption or prefix
    id TEXT NOT NULL, -- public name of the key; empty where there is only one
    value TEXT NOT NULL,
    PRIMARY KEY (kind, id)
);

-- Records this migration. The program does the same by itself, by its own means.
INSERT INTO keyward_migrations (version, description, success, checksum, execution_time) VALUES (
    30, 'keys', TRUE,
    x'fc99b9f2f901ca4b60662ef5fd8d33c1af303d87b52bd87edc0c443a883caf43ad550fc641bac665ee07a7a6b93ba5f9',
    0
);
