-- What lists of tokens read: a page by name, of one kind or of one owner, without sorting what is not on it.

CREATE INDEX keyward_token_listed ON keyward_token (kind, lower(name), id);

DROP INDEX keyward_token_owner;

CREATE INDEX keyward_token_owner ON keyward_token (owner_id, kind, lower(name), id);
