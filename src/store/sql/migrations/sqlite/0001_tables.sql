-- Everything keyward keeps. Times are milliseconds since 1970-01-01 UTC, lists that are never searched are JSON text,
-- and ids are never given out twice (AUTOINCREMENT).

-- One row. A writer's first act raises `seq`, which locks out other writers until it commits; `op_id` is set while it works.
CREATE TABLE keyward_epoch (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seq BIGINT NOT NULL,
    op_id TEXT
);

INSERT INTO keyward_epoch (id, seq, op_id) VALUES (1, 0, NULL);

-- One row for each committed change, without gaps: what other processes poll.
CREATE TABLE keyward_change (
    seq INTEGER PRIMARY KEY,
    op_id TEXT NOT NULL UNIQUE,
    at BIGINT NOT NULL,
    tags TEXT NOT NULL -- 64-bit tags of what changed, as signed integers
);

CREATE TABLE keyward_role (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    code TEXT UNIQUE, -- names a built-in role, whatever people call it
    name TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    super_admin BOOLEAN NOT NULL CHECK (super_admin IN (FALSE, TRUE)),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

INSERT INTO keyward_role (id, code, name, description, super_admin, created_at, updated_at)
VALUES (1, 'strapi-super-admin', 'Super Admin', 'Has no ceiling', TRUE, 0, 0);

CREATE TABLE keyward_role_permission (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    role_id BIGINT NOT NULL REFERENCES keyward_role (id) ON DELETE CASCADE,
    position BIGINT NOT NULL, -- place in the role's list
    action TEXT NOT NULL,
    subject TEXT,
    all_fields BOOLEAN NOT NULL CHECK (all_fields IN (FALSE, TRUE)), -- if not, the rows beside say which
    conditions TEXT NOT NULL, -- any of them must hold; [] is always
    UNIQUE (role_id, position)
);

CREATE INDEX keyward_role_permission_action ON keyward_role_permission (role_id, action, subject, all_fields);

CREATE TABLE keyward_role_permission_field (
    permission_id BIGINT NOT NULL REFERENCES keyward_role_permission (id) ON DELETE CASCADE,
    field TEXT NOT NULL,
    PRIMARY KEY (permission_id, field)
);

CREATE TABLE keyward_owner (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL UNIQUE, -- the address in lower case
    firstname TEXT NOT NULL,
    lastname TEXT NOT NULL,
    username TEXT,
    password_hash TEXT,
    state TEXT NOT NULL CHECK (
        state IN ('invited', 'active', 'deactivated', 'blocked', 'deactivated-and-blocked')
    ),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE keyward_owner_role (
    owner_id BIGINT NOT NULL REFERENCES keyward_owner (id) ON DELETE CASCADE,
    role_id BIGINT NOT NULL REFERENCES keyward_role (id), -- a role with members cannot go
    PRIMARY KEY (owner_id, role_id)
);

CREATE INDEX keyward_owner_role_role ON keyward_owner_role (role_id);

CREATE TABLE keyward_token (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('admin', 'content', 'session')),
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE, -- lower-case hex of the keyed hash
    salt_id TEXT NOT NULL, -- public name of the salt of that hash
    tag BIGINT NOT NULL, -- what a change of this token says in keyward_change.tags
    hint TEXT NOT NULL, -- last four characters of the secret
    owner_id BIGINT REFERENCES keyward_owner (id) ON DELETE CASCADE,
    access TEXT CHECK (access IN ('read-only', 'full-access', 'custom')), -- content tokens
    idle_ms BIGINT CHECK (idle_ms >= 0), -- sessions
    lifespan_ms BIGINT,
    expires_at BIGINT,
    sealed_secret TEXT, -- the secret, encrypted, where it may be shown again
    sealed_with TEXT, -- which key it is encrypted with
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CHECK ((kind = 'content') = (owner_id IS NULL)),
    CHECK ((kind = 'content') = (access IS NOT NULL)),
    CHECK ((kind = 'session') = (idle_ms IS NOT NULL)),
    CHECK ((sealed_secret IS NULL) = (sealed_with IS NULL))
);

CREATE UNIQUE INDEX keyward_token_name ON keyward_token (name) WHERE kind <> 'session';
CREATE INDEX keyward_token_owner ON keyward_token (owner_id);
CREATE INDEX keyward_token_ends ON keyward_token (expires_at) WHERE kind = 'session';

-- Without the prefix this table's name would be a reserved word.
CREATE TABLE keyward_grant (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    token_id BIGINT NOT NULL REFERENCES keyward_token (id) ON DELETE CASCADE,
    position BIGINT NOT NULL, -- place in the token's list
    action TEXT NOT NULL,
    subject TEXT,
    all_fields BOOLEAN NOT NULL CHECK (all_fields IN (FALSE, TRUE)), -- if not, the rows beside say which
    chosen TEXT NOT NULL, -- conditions that a super admin chose; [] is none
    UNIQUE (token_id, position)
);

CREATE TABLE keyward_grant_field (
    grant_id BIGINT NOT NULL REFERENCES keyward_grant (id) ON DELETE CASCADE,
    field TEXT NOT NULL,
    PRIMARY KEY (grant_id, field)
);

-- Empty, but for the moment in which a writer takes grants away.
CREATE TABLE keyward_clamped (
    grant_id INTEGER PRIMARY KEY,
    token_id BIGINT NOT NULL
);

-- The list of a content token with custom access.
CREATE TABLE keyward_content_action (
    token_id BIGINT NOT NULL REFERENCES keyward_token (id) ON DELETE CASCADE,
    action TEXT NOT NULL,
    PRIMARY KEY (token_id, action)
);

-- Apart from the tokens, so that use never looks like a change.
CREATE TABLE keyward_token_use (
    token_id INTEGER PRIMARY KEY REFERENCES keyward_token (id) ON DELETE CASCADE,
    last_used_at BIGINT NOT NULL,
    address TEXT
);

CREATE TABLE keyward_invitation (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    owner_id BIGINT NOT NULL REFERENCES keyward_owner (id) ON DELETE CASCADE,
    digest TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX keyward_invitation_owner ON keyward_invitation (owner_id);

-- What came from another system, and what it is here. A row outlives what it is about: what was deleted here does not come again.
CREATE TABLE keyward_import (
    source TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('role', 'owner', 'token')),
    foreign_key TEXT NOT NULL, -- what it is called there
    id BIGINT NOT NULL,
    PRIMARY KEY (source, kind, foreign_key)
);

-- Refers to nothing by foreign key: events outlive what they are about.
CREATE TABLE keyward_audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at BIGINT NOT NULL,
    doer_kind TEXT NOT NULL,
    doer_id BIGINT,
    address TEXT, -- from where
    what TEXT NOT NULL,
    target_kind TEXT NOT NULL,
    target_id BIGINT,
    target_detail TEXT, -- the kind, where the target is a token
    cause TEXT, -- a JSON value, where another change made this one necessary
    details TEXT NOT NULL -- a JSON value
);

CREATE INDEX keyward_audit_at ON keyward_audit (at);
CREATE INDEX keyward_audit_target ON keyward_audit (target_kind, target_id);

-- What is changed by hand is logged too, row by row, as a change of everything: every process drops what it has cached. A
-- writer logs what it does by itself: while it works, `op_id` is set.

CREATE TRIGGER keyward_role_insert AFTER INSERT ON keyward_role WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_role_update AFTER UPDATE ON keyward_role WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_role_delete AFTER DELETE ON keyward_role WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_role_permission_insert AFTER INSERT ON keyward_role_permission WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_role_permission_update AFTER UPDATE ON keyward_role_permission WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_role_permission_delete AFTER DELETE ON keyward_role_permission WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_role_permission_field_insert AFTER INSERT ON keyward_role_permission_field WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_role_permission_field_update AFTER UPDATE ON keyward_role_permission_field WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_role_permission_field_delete AFTER DELETE ON keyward_role_permission_field WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_owner_insert AFTER INSERT ON keyward_owner WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_owner_update AFTER UPDATE ON keyward_owner WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_owner_delete AFTER DELETE ON keyward_owner WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_owner_role_insert AFTER INSERT ON keyward_owner_role WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_owner_role_update AFTER UPDATE ON keyward_owner_role WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_owner_role_delete AFTER DELETE ON keyward_owner_role WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_token_insert AFTER INSERT ON keyward_token WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_token_update AFTER UPDATE ON keyward_token WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_token_delete AFTER DELETE ON keyward_token WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_grant_insert AFTER INSERT ON keyward_grant WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_grant_update AFTER UPDATE ON keyward_grant WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_grant_delete AFTER DELETE ON keyward_grant WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_grant_field_insert AFTER INSERT ON keyward_grant_field WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_grant_field_update AFTER UPDATE ON keyward_grant_field WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_grant_field_delete AFTER DELETE ON keyward_grant_field WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_content_action_insert AFTER INSERT ON keyward_content_action WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_content_action_update AFTER UPDATE ON keyward_content_action WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

CREATE TRIGGER keyward_content_action_delete AFTER DELETE ON keyward_content_action WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

-- Records this migration. The program does the same by itself, by its own means.
CREATE TABLE IF NOT EXISTS keyward_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);

INSERT INTO keyward_migrations (version, description, success, checksum, execution_time) VALUES (
    1, 'tables', TRUE,
    x'ea2b4ce7390fa352edbf361ca4b2783565dee938d5026c837aad94e83532c5090495fa6a7bb2fe1a9338b68fcd618950',
    0
);
