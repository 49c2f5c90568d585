-- Limits of tokens, secrets that were replaced, and tokens that other tokens made.

ALTER TABLE keyward_token ADD COLUMN enabled BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE keyward_token ADD COLUMN networks TEXT; -- a JSON list of networks of clients; null is everywhere
ALTER TABLE keyward_token ADD COLUMN rate_limit BIGINT CHECK (rate_limit > 0); -- requests in each rate_window_ms
ALTER TABLE keyward_token ADD COLUMN rate_window_ms BIGINT CHECK (rate_window_ms > 0);
ALTER TABLE keyward_token ADD COLUMN idle_expiry_ms BIGINT CHECK (idle_expiry_ms > 0);
ALTER TABLE keyward_token ADD COLUMN parent_id BIGINT REFERENCES keyward_token (id) ON DELETE CASCADE;
ALTER TABLE keyward_token ADD COLUMN parent_digest TEXT; -- of the secret of the parent that made it
CREATE INDEX keyward_token_parent ON keyward_token (parent_id) WHERE parent_id IS NOT NULL;

ALTER TABLE keyward_grant ADD COLUMN may_delegate BOOLEAN NOT NULL DEFAULT FALSE;

-- The last use of the present secret; the other columns are of the last use of any.
ALTER TABLE keyward_token_use ADD COLUMN secret_used_at BIGINT;
ALTER TABLE keyward_token_use ADD COLUMN secret_address TEXT;
UPDATE keyward_token_use SET secret_used_at = last_used_at, secret_address = address;

CREATE TABLE keyward_previous_secret (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    token_id BIGINT NOT NULL REFERENCES keyward_token (id) ON DELETE CASCADE,
    digest TEXT NOT NULL UNIQUE,
    salt_id TEXT NOT NULL,
    hint TEXT NOT NULL,
    replaced_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL, -- admitted until then
    last_used_at BIGINT,
    address TEXT
);
CREATE INDEX keyward_previous_secret_token ON keyward_previous_secret (token_id);

-- What is changed by hand is logged too, as a change of everything. A use is not a change.
CREATE TRIGGER keyward_previous_secret_insert AFTER INSERT ON keyward_previous_secret WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;
CREATE TRIGGER keyward_previous_secret_update AFTER UPDATE OF token_id, digest, ends_at ON keyward_previous_secret WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;
CREATE TRIGGER keyward_previous_secret_delete AFTER DELETE ON keyward_previous_secret WHEN (SELECT op_id FROM keyward_epoch) IS NULL
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), '[0]'
    FROM keyward_epoch;
END;

-- Records this migration. The program does the same by itself, by its own means.
INSERT INTO keyward_migrations (version, description, success, checksum, execution_time) VALUES (
    80, 'life', TRUE,
    x'c942e741598e362b63695fba8409e1871181222027429b16d037c7a12f8dfa4722abbd032933a6e39bd3724f70d36cc2',
    0
);
