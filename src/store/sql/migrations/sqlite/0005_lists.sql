-- What lists of tokens read: a page by name, of one kind or of one owner, without sorting what is not on it.

CREATE INDEX keyward_token_listed ON keyward_token (kind, lower(name), id);

DROP INDEX keyward_token_owner;

CREATE INDEX keyward_token_owner ON keyward_token (owner_id, kind, lower(name), id);

-- Records this migration. The program does the same by itself, by its own means.
INSERT INTO keyward_migrations (version, description, success, checksum, execution_time) VALUES (
    5, 'lists', TRUE,
    x'0923d07bbfff7424a3bf5172c6fdcf68bc6a2bfee9595d48e06a6d71da5af7d140719818e30c5b6e122e9f79db3e7eb1',
    0
);
