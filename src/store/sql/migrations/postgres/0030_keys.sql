-- Which keys the data rests on: a check value of each, made by the program. It tells one key from another, and does not tell the key.

CREATE TABLE keyward_key (
    kind TEXT COLLATE "C" NOT NULL, -- hash, strapi-hash, encryption or prefix
    id TEXT COLLATE "C" NOT NULL, -- public name of the key; empty where there is only one
    value TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (kind, id)
);

-- Records this migration. The program does the same by itself, by its own means.
INSERT INTO keyward_migrations (version, description, success, checksum, execution_time) VALUES (
    30, 'keys', TRUE,
    decode('4c80a9ad8d6f7856ae229fcf685be4d18419c41a1573ce482d29c1e1365fd6445d52101e038c9219caa104c2ee41a11d', 'hex'),
    0
);
