-- Owners that are accounts of the host, by the host's key. Their e-mail address is only shown, so `email_key` is another text.

ALTER TABLE keyward_owner ADD COLUMN account TEXT COLLATE "C";

ALTER TABLE keyward_owner ADD COLUMN kind TEXT COLLATE "C" NOT NULL DEFAULT 'person' CHECK (kind IN ('person', 'service', 'organisation'));

CREATE UNIQUE INDEX keyward_owner_account ON keyward_owner (account) WHERE account IS NOT NULL;

-- Accounts that the host reports by SQL, from a trigger for example. A node reads them, and clamps their tokens.
CREATE TABLE keyward_account_change (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    is_logged BOOLEAN NOT NULL DEFAULT FALSE -- set when the transaction that reports it logs its change
);

-- Logs all reports of a transaction as one change, when it commits. The tag of an owner is 2^62 and its id; very many
-- are a change of everything (tag 0). Reports of other transactions are either logged or not visible.
CREATE FUNCTION keyward_log_accounts() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    changed TEXT;
    next BIGINT;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM keyward_account_change WHERE id = NEW.id AND NOT is_logged) THEN
        RETURN NULL;
    END IF;
    -- First the lock of writers: an owner that another transaction adds is seen here, or the host is asked for it after
    -- this commit.
    PERFORM 1 FROM keyward_epoch WHERE id = 1 FOR UPDATE;
    SELECT CASE WHEN COUNT(*) > 1000 THEN '[0]' ELSE '[' || string_agg(DISTINCT (4611686018427387904 + o.id)::TEXT, ',') || ']' END
    INTO changed FROM keyward_account_change c JOIN keyward_owner o ON o.account = c.account WHERE NOT c.is_logged;
    UPDATE keyward_account_change SET is_logged = TRUE WHERE NOT is_logged;
    IF changed IS NULL THEN
        RETURN NULL;
    END IF;
    UPDATE keyward_epoch SET seq = seq + 1 WHERE id = 1 RETURNING seq INTO next;
    INSERT INTO keyward_change (seq, op_id, at, tags) VALUES (
        next, gen_random_uuid()::TEXT, CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT), changed
    );
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER keyward_account_reported AFTER INSERT ON keyward_account_change
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION keyward_log_accounts();

-- Reports that an account of the host has changed. Grant it to the roles that write the host's users.
CREATE FUNCTION keyward_account_changed(account TEXT) RETURNS VOID LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    INSERT INTO keyward_account_change (account) VALUES ($1);
$$;

REVOKE ALL ON FUNCTION keyward_log_accounts() FROM PUBLIC;
REVOKE ALL ON FUNCTION keyward_account_changed(TEXT) FROM PUBLIC;

-- Records this migration. The program does the same by itself, by its own means.
INSERT INTO keyward_migrations (version, description, success, checksum, execution_time) VALUES (
    50, 'accounts', TRUE,
    decode('d8a92a305501e1ef0e0e1236ef58e06dcb639bfbe43e529d00e82ba701b4c6a22a8a42d135556f45a858779fe3cda89a', 'hex'),
    0
);
