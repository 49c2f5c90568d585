-- Which keys the data rests on: a check value of each, made by the program. It tells one key from another, and does not tell the key.

CREATE TABLE keyward_key (
    kind TEXT NOT NULL, -- hash, strapi-hash, encryption or prefix
    id TEXT NOT NULL, -- public name of the key; empty where there is only one
    value TEXT NOT NULL,
    PRIMARY KEY (kind, id)
);
