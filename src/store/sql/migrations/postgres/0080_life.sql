-- Limits of tokens, secrets that were replaced, and tokens that other tokens made.

ALTER TABLE keyward_token ADD COLUMN enabled BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE keyward_token ADD COLUMN networks TEXT COLLATE "C"; -- a JSON list of networks of clients; null is everywhere
ALTER TABLE keyward_token ADD COLUMN rate_limit BIGINT CHECK (rate_limit > 0); -- requests in each rate_window_ms
ALTER TABLE keyward_token ADD COLUMN rate_window_ms BIGINT CHECK (rate_window_ms > 0);
ALTER TABLE keyward_token ADD COLUMN idle_expiry_ms BIGINT CHECK (idle_expiry_ms > 0);
ALTER TABLE keyward_token ADD COLUMN parent_id BIGINT REFERENCES keyward_token (id) ON DELETE CASCADE;
ALTER TABLE keyward_token ADD COLUMN parent_digest TEXT COLLATE "C"; -- of the secret of the parent that made it
CREATE INDEX keyward_token_parent ON keyward_token (parent_id) WHERE parent_id IS NOT NULL;

ALTER TABLE keyward_grant ADD COLUMN may_delegate BOOLEAN NOT NULL DEFAULT FALSE;

-- The last use of the present secret; the other columns are of the last use of any.
ALTER TABLE keyward_token_use ADD COLUMN secret_used_at BIGINT;
ALTER TABLE keyward_token_use ADD COLUMN secret_address TEXT COLLATE "C";
UPDATE keyward_token_use SET secret_used_at = last_used_at, secret_address = address;

CREATE TABLE keyward_previous_secret (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_id BIGINT NOT NULL REFERENCES keyward_token (id) ON DELETE CASCADE,
    digest TEXT COLLATE "C" NOT NULL UNIQUE,
    salt_id TEXT COLLATE "C" NOT NULL,
    hint TEXT COLLATE "C" NOT NULL,
    replaced_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL, -- admitted until then
    last_used_at BIGINT,
    address TEXT COLLATE "C"
);
CREATE INDEX keyward_previous_secret_token ON keyward_previous_secret (token_id);

-- What is changed by hand is logged too, as a change of everything. A use is not a change.
CREATE TRIGGER keyward_by_hand AFTER INSERT OR UPDATE OF token_id, digest, ends_at OR DELETE OR TRUNCATE ON keyward_previous_secret FOR EACH STATEMENT
    WHEN (current_setting('keyward.writer', TRUE) IS DISTINCT FROM 'on') EXECUTE FUNCTION keyward_log_by_hand();

-- Records this migration. The program does the same by itself, by its own means.
INSERT INTO keyward_migrations (version, description, success, checksum, execution_time) VALUES (
    80, 'life', TRUE,
    decode('7b4d3e68bc4f7ca844b0aefaeb34423702f16a16b4c4dd2e67e4944cc2294c5cfe9481466a26204308898e1646b10e82', 'hex'),
    0
);
